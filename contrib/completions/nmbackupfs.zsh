#compdef nmbackupfs
# zsh completion for nmbackupfs(1); what there is to choose from says
# share/nmbackupfs/complete.

_nmbackupfs() {
    local -a args found files
    local value text program=${~${(Q)words[1]}}

    args=("${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}")
    while IFS=$'\t' read -r value text; do
        case $value in
        :files) files=(_files) ;;
        :dirs) files=(_files -/) ;;
        *) found+=("${value//:/\\:}${text:+:$text}") ;;
        esac
    done < <(@COMPLETE@ "$program" "$args[@]" 2>/dev/null)
    [[ $PREFIX != --*=* ]] || compset -P '*='
    local ret=1
    (($#found)) && _describe -t values nmbackupfs found && ret=0
    (($#files)) && $files && ret=0
    return ret
}

_nmbackupfs "$@"
