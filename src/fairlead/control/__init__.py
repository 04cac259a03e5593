"""What may be asked for, by a command, a program or an API.

A request is a function over records: it takes the stores and what is asked for, and returns what
came of it. A request that takes a while reports events (events.py) as it goes. What cannot be done
is an error with a stable code and the requests that lead on; nothing here knows how any of this is
shown.
"""
