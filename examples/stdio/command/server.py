"""A small MCP server over standard input and output. It needs nothing but Python."""

import json
import sys

GREETING = "Hello"

VERSIONS = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"]
TOOL = {
    "name": "greet",
    "description": "Greets somebody.",
    "inputSchema": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
    "annotations": {"readOnlyHint": True},
}


class Refused(Exception):
    """A request that gets an error: its code and message."""


def initialize(params):
    asked = params.get("protocolVersion")
    return {
        "protocolVersion": asked if asked in VERSIONS else VERSIONS[0],
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "greeter", "version": "1"},
    }


def call(params):
    if params.get("name") != TOOL["name"]:
        raise Refused(-32602, f"there is no tool {params.get('name')!r}")
    name = params.get("arguments", {}).get("name", "whoever you are")
    return {"content": [{"type": "text", "text": f"{GREETING}, {name}!"}]}


METHODS = {
    "initialize": initialize,
    "ping": lambda params: {},
    "tools/list": lambda params: {"tools": [TOOL]},
    "tools/call": call,
}


def answer(request):
    """The answer to a request."""
    reply = {"jsonrpc": "2.0", "id": request["id"]}
    try:
        method = METHODS.get(request["method"])
        if method is None:
            raise Refused(-32601, f"there is no method {request['method']}")
        return reply | {"result": method(request.get("params", {}))}
    except Refused as refused:
        code, message = refused.args
        return reply | {"error": {"code": code, "message": message}}


# What is on stdout is for the client; people read stderr.
print("greeter: ready", file=sys.stderr)
for line in sys.stdin:
    message = json.loads(line)
    if "method" in message and "id" in message:
        print(json.dumps(answer(message)), flush=True)
