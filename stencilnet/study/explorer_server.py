"""A page on this machine to browse a store, and to solve beside it."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from stencilnet.study.exploring import Explorer, opened

LOOPBACK = "127.0.0.1"
"""Where a page is served unless another host is asked for."""


def explore(
    store: Path | str,
    *,
    operator: Path | str | None = None,
    extensions: Sequence[type] = (),
    host: str = LOOPBACK,
    port: int = 0,
    allow_origins: Sequence[str] = (),
    served: Callable[[str], None] = print,
) -> None:
    """Serves a page that shows a store and solves beside it, until it is interrupted.

    The store may be larger than memory: one sample is read at a time. The page is for
    this machine alone, and answers no other page in its browser.

    Args:
        store: trajectories or a comparison.
        operator: store of the learned operator or name of a pretrained one; that of
            the run which the store lies in, or the pretrained one for Burgers'
            equation, by default.
        extensions: classes of your own that store or operator name.
        host: address to listen on. Whoever reaches it sees the store and may use this
            machine's time.
        port: to listen on; any free one by default.
        allow_origins: further addresses, HOST:PORT, from which a browser may use it.
        served: told the address, once it answers.

    Raises:
        FileNotFoundError: if there is nothing at `store`.
        OSError: if the port is taken.
        ValueError: if the server is not installed, or the store cannot be shown.

    Example:
        >>> from contextlib import suppress
        >>> from stencilnet import load_config, simulate
        >>> from stencilnet.study import explore
        >>> p2 = load_config("p2")
        >>> path = simulate("weno_z", "p2.zarr", config=p2, duration=1.0, points=16)
        >>> def stop(address):
        ...     print(address)
        ...     raise KeyboardInterrupt  # as Ctrl-C does
        >>> with suppress(KeyboardInterrupt):
        ...     explore(path, served=stop)
        http://127.0.0.1:.../
    """
    with opened(store, operator=operator, extensions=extensions) as explorer:
        server = serve(explorer, host=host, port=port, allow_origins=allow_origins)
        try:
            served(f"http://{_shown(host)}:{server.port}/")
            server.io_loop.start()
        finally:
            server.stop()
            server.io_loop.close()


def serve(
    explorer: Explorer,
    *,
    host: str = LOOPBACK,
    port: int = 0,
    allow_origins: Sequence[str] = (),
) -> Any:
    """A server of an explorer's page, which answers while its `io_loop` runs.

    Example:
        >>> from stencilnet import load_config, simulate
        >>> from stencilnet.study import opened, serve
        >>> p2 = load_config("p2")
        >>> path = simulate("weno_z", "p2.zarr", config=p2, duration=1.0, points=16)
        >>> with opened(path) as explorer:
        ...     server = serve(explorer)
        ...     server.address, server.port > 0
        ...     server.stop()
        ...     server.io_loop.close()
        ('127.0.0.1', True)
    """
    try:
        from bokeh.application import Application
        from bokeh.application.handlers.function import FunctionHandler
        from bokeh.server.server import Server
        from tornado.ioloop import IOLoop

        from stencilnet.study.explorer_page import Page
    except ModuleNotFoundError as error:
        raise ValueError(
            f"The explorer needs {error.name}: install stencilnet[explore]."
        ) from error
    port = port or _free(host)
    names = dict.fromkeys([LOOPBACK, "localhost", _shown(host)])
    origins = [f"{name}:{port}" for name in names if name not in ("0.0.0.0", "[::]")]
    page = FunctionHandler(lambda document: Page(explorer).add_to(document))
    loop = IOLoop(make_current=False)
    # Its sockets are heard by the loop that is current, whatever `io_loop` says.
    asyncio.set_event_loop(loop.asyncio_loop)
    try:
        server = Server(
            {"/": Application(page)},
            io_loop=loop,
            address=host,
            port=port,
            allow_websocket_origin=[*origins, *allow_origins],
        )
        server.start()
    finally:
        asyncio.set_event_loop(None)
    return server


def _free(host: str) -> int:
    """A port that nothing listens on."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
