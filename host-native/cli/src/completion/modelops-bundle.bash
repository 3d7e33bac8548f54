# Completion of modelops-bundle for bash: asks the program what may come next.
_modelops_bundle() {
    local program="${COMP_WORDS[0]}" own="${2-${COMP_WORDS[COMP_CWORD]}}"
    local rest="${COMP_LINE:0:${COMP_POINT:-${#COMP_LINE}}}"
    local left word at line kind="" prefix=""
    local -a words=() reply=()
    type -P -- "$program" >/dev/null 2>&1 || program=@PROGRAM@
    if [[ -n $rest ]]; then
        # Bash takes `:` and `=` for ends of words; a reference is one word all the same.
        for ((at = 0; at <= COMP_CWORD; at++)); do
            left="${rest#"${rest%%[![:space:]]*}"}"
            word="${COMP_WORDS[at]}"
            ((at < COMP_CWORD)) || word="$left"
            if ((at > 0)) && [[ $left == "$rest" ]]; then
                words[${#words[@]}-1]+="$word"
            else
                words+=("$word")
            fi
            rest="${left#"$word"}"
        done
        word="${words[${#words[@]}-1]}"
        prefix="${word%"$own"}"
    else
        words=("${COMP_WORDS[@]:0:COMP_CWORD+1}")
    fi
    while IFS= read -r line; do
        if [[ -z $kind ]]; then kind="$line"; else reply+=("${line#"$prefix"}"); fi
    done < <(MODELOPS_BUNDLE_COMPLETE=bash "$program" -- "${words[@]}" 2>/dev/null)
    COMPREPLY=()
    case "$kind" in
        files | folders)
            local action=-f
            [[ $kind == files ]] || action=-d
            compopt -o filenames -o default 2>/dev/null
            while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen "$action" -- "$own")
            ;;
        paths)
            # Bash puts a slash behind each folder that is there.
            compopt -o filenames 2>/dev/null
            for line in "${reply[@]}"; do
                [[ -d $line ]] && line="${line%/}"
                COMPREPLY+=("$line")
            done
            ;;
        values)
            COMPREPLY=("${reply[@]}")
            ;;
    esac
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[/:=] ]]; then
        compopt -o nospace 2>/dev/null
    fi
    return 0
}
if [[ ${BASH_VERSINFO[0]} -gt 4 || ${BASH_VERSINFO[0]} -eq 4 && ${BASH_VERSINFO[1]} -ge 4 ]]; then
    complete -o nosort -F _modelops_bundle @NAMES@
else
    complete -F _modelops_bundle @NAMES@
fi
