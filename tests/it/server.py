"""A server as people write one with the official Python SDK. Tests save it with another greeting, or another tool."""

import anyio
from mcp.server import MCPServer

GREETING = "one"

server = MCPServer("greeter")


@server.tool()
def greet() -> str:
    """Says the greeting."""
    return GREETING


@server.tool()
async def slow(milliseconds: int) -> str:
    """Says the greeting after a while."""
    await anyio.sleep(milliseconds / 1000)
    return GREETING


# More tools come here.

if __name__ == "__main__":
    server.run()
