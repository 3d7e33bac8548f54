# Completion of modelops-bundle for fish: asks the program what may come next.
function __modelops_bundle_complete
    set -l words (commandline --current-process --tokenize --cut-at-cursor)
    set -l current (commandline --current-token --cut-at-cursor)
    set -l program $words[1]
    command --query $program; or set program @PROGRAM@
    set -l answer (MODELOPS_BUNDLE_COMPLETE=fish $program -- $words "$current" 2>/dev/null)
    set -l kind $answer[1]
    set --erase answer[1]
    switch "$kind"
        case files
            __fish_complete_path "$current"
        case folders
            __fish_complete_directories "$current"
        case values paths
            printf '%s\n' $answer
    end
end
for name in @NAMES@
    complete --command $name --no-files --keep-order --arguments '(__modelops_bundle_complete)'
end
