"""HTTP: from a connection to a response.

`connection` holds connections to their limits, `cycle` gives the app ASGI's `receive` and `send`;
`app` takes one request to its response: `guard` checks it, then `pages` or `predicting` answers.
"""
