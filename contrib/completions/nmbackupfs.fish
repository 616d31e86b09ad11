# fish completion for nmbackupfs(1); what there is to choose from says
# share/nmbackupfs/complete.

function __nmbackupfs_complete
    set -l words (commandline -opc)
    set -l cur (commandline -ct)
    set -l option ''
    if string match -q -- '--*=*' "$cur"
        set option (string replace -r '=.*' '=' -- "$cur")
    end
    set -l value (string sub -s (math (string length -- "$option") + 1) -- "$cur")

    for line in (@COMPLETE@ $words "$cur" 2>/dev/null)
        switch $line
            case :files
                for path in (__fish_complete_path "$value")
                    echo $option$path
                end
            case :dirs
                for path in (__fish_complete_directories "$value" '')
                    echo $option$path
                end
            case '*'
                echo $option$line
        end
    end
end

complete -c nmbackupfs -f -a '(__nmbackupfs_complete)'
