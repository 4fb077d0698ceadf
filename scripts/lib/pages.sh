# shellcheck shell=bash
# The pages' own commands, to run them word for word.
# Sourced, never run.

# Prints the blocks in language $3 of the section $2 of page $1 (a path in the
# repository), one after the other. A section ends at the next heading.
page_blocks() {
  awk -v section="$2" -v fence="\`\`\`$3" '
    /^```/ { block = inside && $0 == fence; fenced = !fenced; next }
    !fenced && /^#+ / { heading = $0; sub(/^#+ /, "", heading); inside = heading == section; next }
    block' "$(dirname "${BASH_SOURCE[0]}")/../../$1"
}
