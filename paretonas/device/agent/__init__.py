"""The agent: a device's runner behind HTTPS, for devices that have no SSH, or where nobody may log in.

It is sent with the runner and needs nothing beside Python; see `server.py`.
"""
