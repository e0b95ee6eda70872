"""The way out of a sandbox that has none: a proxy here that lets through an allow-list, and a relay to it in there.

- `allow_list`: which ``host:port`` may be reached, and which addresses never.
- `proxy`: listens on a socket in a folder that is mounted into the sandbox; `exchange` and `messages` are its parts.
- `relay`: in the sandbox, makes the socket look like the HTTP proxy that ``HTTP_PROXY`` names.
"""
