#compdef @NAMES@
# Completion of modelops-bundle for zsh: asks the program what may come next.
_modelops_bundle() {
    local program="${(Q)words[1]}" kind line value help
    local -a answer open closed
    (( $+commands[$program] )) || [[ -x "$program" ]] || program=@PROGRAM@
    answer=("${(@f)$(MODELOPS_BUNDLE_COMPLETE=zsh "$program" -- "${(@Q)words[1,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
    kind="$answer[1]"
    shift answer
    case "$kind" in
        files) _files ;;
        folders) _files -/ ;;
        values | paths)
            for line in "${(@)answer}"; do
                value="${line%%$'\t'*}"
                help="${line#*$'\t'}"
                # Such a word goes on.
                if [[ "$value" == *[/:=] ]]; then
                    open+=("$value")
                elif [[ -n "$help" ]]; then
                    closed+=("${value//:/\\:}:$help")
                else
                    closed+=("${value//:/\\:}")
                fi
            done
            (( $#open )) && compadd -S '' -a open
            (( $#closed )) && _describe -V 'values' closed
            ;;
    esac
}
if [[ "$funcstack[1]" == _modelops_bundle ]]; then
    _modelops_bundle "$@"
else
    compdef _modelops_bundle @NAMES@
fi
