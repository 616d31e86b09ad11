"""Those tests of tests/e2e that ask nothing of the service but what everybody
may: files in, everything local lost, files out, in plain folders and vaults."""

from test_backup import (  # noqa: F401
    test_changes_arrive_too, test_deep_and_empty, test_git, test_long_names,
    test_path_too_long_is_refused_at_once, test_real_tree, test_rsync_twice,
    test_sqlite, test_tar)
from test_put_get import (  # noqa: F401
    test_mtime_goes_there_and_back, test_who_is_no_member,
    test_who_was_removed)
from test_vault import (  # noqa: F401
    test_home_comes_back, test_plain_and_vault_are_not_mixed)
from test_vault_commands import (  # noqa: F401
    test_info_and_members, test_second_machine_added,
    test_second_machine_by_recovery_key)
