"""Run inside a world: signs in as Microsoft's own library does.

    signin_msal.py AUTHORITY CLIENT_ID

Prints a JSON object with the results of the device flow and of a refresh."""

import json
import sys

import msal

app = msal.PublicClientApplication(sys.argv[2], authority=sys.argv[1])
flow = app.initiate_device_flow(scopes=["Files.ReadWrite"])
first = app.acquire_token_by_device_flow(flow) if "device_code" in flow else {}
accounts = app.get_accounts() if "access_token" in first else []
second = app.acquire_token_silent(["Files.ReadWrite"], accounts[0],
                                  force_refresh=True) if accounts else {}
json.dump({"flow": flow, "first": first, "accounts": accounts,
           "second": second or {}}, sys.stdout)
