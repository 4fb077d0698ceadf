# shellcheck shell=bash
# The README's own commands, to run them as they stand there.
# Sourced, never run.

# Prints the blocks in language $2 of README.md's section "### $1", one after
# the other.
readme_blocks() {
  awk -v section="### $1" -v fence="\`\`\`$2" '
    $0 == section { inside = 1; next }
    inside && /^##/ { exit }
    inside && $0 == fence { block = 1; next }
    /^```$/ { block = 0 }
    inside && block' "$(dirname "${BASH_SOURCE[0]}")/../../README.md"
}
