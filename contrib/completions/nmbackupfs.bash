# bash completion for nmbackupfs(1); what there is to choose from says
# share/nmbackupfs/complete.

_nmbackupfs() {
    local -a words=()
    local i n word cur value names='' program=${1/#\~\//$HOME/}

    # bash cuts words at "="; --option=value is one.
    for ((i = 1; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]} n=${#words[@]}
        if ((n)) && [[ $word == = && ${words[n - 1]} == --* && ${words[n - 1]} != *=* ]]; then
            words[n - 1]+='='
        elif ((n)) && [[ ${words[n - 1]} == --*= && ${COMP_WORDS[i - 1]} == = ]]; then
            words[n - 1]+=$word
        else
            words+=("$word")
        fi
    done
    cur=${COMP_WORDS[COMP_CWORD]}
    [[ $cur != = ]] || cur=

    COMPREPLY=()
    while IFS=$'\t' read -r value _; do
        case $value in
        :files) names=-f ;;
        :dirs) names=-d ;;
        /*) [[ $value != "$cur"* ]] || COMPREPLY+=("$value")
            compopt -o filenames 2>/dev/null ;;
        "$cur"*) COMPREPLY+=("$value") ;;
        esac
    done < <(@COMPLETE@ "$program" "${words[@]}" 2>/dev/null)
    if [[ $names ]]; then
        compopt -o filenames 2>/dev/null
        while IFS= read -r value; do
            COMPREPLY+=("$value")
        done < <(compgen $names -- "$cur")
    fi
    return 0
}

complete -F _nmbackupfs nmbackupfs
