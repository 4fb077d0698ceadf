"""The benchmark: this extension, Debian's php-redis and PHP's own files, side by side.

main          options, order of the groups, progress
machine       which CPU runs what, what the machine is, CPU time of processes
servers       Redis, alone and as a cluster, and enough of its protocol
handlers      the session handlers that are compared, and their php.ini
wire          a proxy that counts flights and commands, or delays them
site          nginx, PHP-FPM and the load generator
results       what was measured, as one flat table
flights, cycles, web, latency, contention, cost, growth, instructions
              the groups: each measures, and knows nothing of the report
targets       what was to be reached
report, capacity, plots, drawing
              what is written of it

A group never looks at another's figures, so that each can be run alone.
Standard library only, except for `drawing`.
"""
