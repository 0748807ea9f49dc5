"""HTTP: translation only, no policy.

asgi        the ASGI application: body limit, disconnects, lifespan
types       ASGI's calling convention, and what the routes work on
routes      path and method -> what the server does; errors -> answers
cors        pages of other origins
shutdown    held syncs end when the process is told to stop
serving     granian, in this process
browser     the client for plain pages, built from clients/js
"""
