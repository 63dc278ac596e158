"""The official Python SDK as a client, driven by a test over lines of JSON.

    client.py MODE COMMAND [ARGUMENT…]

MODE is what the SDK calls so: auto (server/discover, then initialize), legacy, or a version. COMMAND is the server, as a
client's configuration would name it.

In, one a line: {"id": 1, "do": "tools"}, {"id": 2, "do": "call", "tool": "greet", "arguments": {}},
{"id": 3, "do": "listen"}. Out: {"event": "connected", …} first; one answer for each id, in the order in which they come
in from the server; and {"event": "notified", "method": …} for each notification. Input's end closes the client.
"""

import json
import os
import sys

import anyio
from mcp import Client, MCPError, StdioServerParameters


def say(**fields):
    print(json.dumps(fields), flush=True)


async def notified(message):
    if isinstance(message, Exception):
        say(event="fault", text=repr(message))
    else:
        say(event="notified", method=message.method)


async def perform(client, request, group):
    match request["do"]:
        case "tools":
            tools = (await client.list_tools()).tools
            return {"names": sorted(tool.name for tool in tools)}
        case "call":
            result = await client.call_tool(request["tool"], request.get("arguments", {}))
            return {"text": "".join(part.text for part in result.content if part.type == "text"), "failed": result.is_error}
        case "listen":
            return {"honored": await group.start(listen, client)}
        case other:
            raise ValueError(f"no such thing to do: {other}")


async def listen(client, *, task_status):
    async with client.listen(tools_list_changed=True) as subscription:
        task_status.started(subscription.honored.model_dump(by_alias=True, exclude_none=True))
        async for event in subscription:
            say(event="heard", kind=type(event).__name__)
    say(event="heard", kind="end")


async def answer(client, request, group):
    try:
        say(id=request["id"], **await perform(client, request, group))
    except MCPError as error:
        say(id=request["id"], error={"code": error.error.code, "message": error.error.message, "data": error.error.data})


async def main(mode, command, *arguments):
    server = StdioServerParameters(command=command, args=arguments, env=dict(os.environ))
    async with Client(server, mode=mode, message_handler=notified) as client:
        info = client.server_info
        say(
            event="connected",
            version=client.protocol_version,
            server=info.name if info else None,
            capabilities=client.server_capabilities.model_dump(by_alias=True, exclude_none=True),
        )
        async with anyio.create_task_group() as group:
            # As bytes and unbuffered by Python: a line is acted on when it comes.
            while line := await anyio.to_thread.run_sync(sys.stdin.buffer.readline):
                group.start_soon(answer, client, json.loads(line), group)
            group.cancel_scope.cancel()
    say(event="closed")


anyio.run(main, *sys.argv[1:])
