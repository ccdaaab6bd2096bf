"""`otel-fim run`: the agent in the foreground."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Final

from otel_fim.agent import Agent
from otel_fim.cli.options import add_config_options
from otel_fim.component import StartError
from otel_fim.config.errors import ConfigError, Problem
from otel_fim.config.load import load_config
from otel_fim.config.validate import AgentConfig
from otel_fim.host.memory import give_memory_back
from otel_fim.names import metrics
from otel_fim.telemetry.logs import configure_logging
from otel_fim.version import __version__

HELP: Final = "watch this host until stopped"

logger = logging.getLogger("otel_fim.agent")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config_options(parser)
    parser.add_argument(
        "--output", choices=("text", "json"), help="what the console exporter prints (default: as configured)"
    )


def run(args: argparse.Namespace) -> int:
    """Runs until SIGTERM or SIGINT. Exit status 0 after an orderly stop, 1 when it cannot start or when it had to
    give up what was only in memory.

    Raises `ConfigError` for a configuration that is not valid.
    """
    return Runner(list(args.config), list(args.set), args.output).run()


class Runner:
    """The signals' side of the agent: stop, stop at once, reload."""

    def __init__(self, files: list[str], sets: list[str], output: str | None) -> None:
        self._files = files
        self._sets = sets
        self._output = output
        self._signals: deque[int] = deque()
        self._stops = 0
        self._wake = threading.Event()

    def run(self) -> int:
        # Hashing threads must not keep the thread that reads /proc waiting for Python's default 5 ms.
        sys.setswitchinterval(0.001)
        give_memory_back()
        config = self._load()
        agent = Agent(config, told_to_stop=self._told_to_stop)
        configure_logging(config.service.telemetry.logs, suppressed=self._counter(agent))
        for handled in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(handled, self._received)
        self._warn(config)
        logger.info("otel-fim %s, pid %d, state in %s", __version__, os.getpid(), agent.state_directory)
        try:
            agent.start()
        except StartError as error:
            if self._stops:
                logger.info("stopped while starting: %s", error)
                return 0
            print(f"otel-fim: cannot start: {error}", file=sys.stderr)
            return 1
        # What start-up made lives until the end: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        # Records come and go by the thousand and hold no cycles; the default of 700 looks at them far too often.
        gc.set_threshold(20_000, 10, 10)
        while True:
            self._wake.wait()
            self._wake.clear()
            while self._signals:
                number = self._signals.popleft()
                if number != signal.SIGHUP:
                    return self._stop(agent, number)
                replacement = self._reload(agent)
                if replacement is None:
                    return 1
                agent = replacement

    def _load(self) -> AgentConfig:
        config = load_config(self._files, self._sets)
        if self._output is None:
            return config
        used = {name for pipeline in config.service.pipelines.values() for name in pipeline.exporters}
        consoles = [name for name in used if config.exporters[name].type == "console"]
        if not consoles:
            raise ConfigError(
                [Problem("--output", "no pipeline has a console exporter, so nothing would be printed")]
            )
        return load_config(
            self._files, [*self._sets, *(f"exporters.{name}.output={self._output}" for name in consoles)]
        )

    def _received(self, number: int, _: FrameType | None) -> None:
        if number != signal.SIGHUP:
            self._stops += 1
            if self._stops > 1:
                # The journal is what it is: every record on disk stays, and the next start repairs the rest.
                os._exit(1)
        self._signals.append(number)
        self._wake.set()

    def _told_to_stop(self) -> bool:
        return self._stops > 0

    def _stop(self, agent: Agent, number: int) -> int:
        name = signal.Signals(number).name
        logger.info("%s: draining; once more stops at once", name)
        if agent.stop(name):
            logger.info("stopped")
            return 0
        logger.error(
            "stopped; what could not be written to the journal is looked for again at the next start"
        )
        return 1

    def _reload(self, agent: Agent) -> Agent | None:
        """The agent with the new configuration, or one with the old when the new one is not valid or cannot start;
        None when told to stop before either could."""
        logger.info("SIGHUP: reading the configuration again")
        try:
            config = self._load()
        except ConfigError as error:
            for problem in error.problems:
                logger.error("not reloaded, the old configuration goes on: %s", problem)
            return agent
        self._warn(config)
        old = agent.config
        agent.stop("reload")
        replacement = Agent(config, reason="reload", told_to_stop=self._told_to_stop)
        configure_logging(config.service.telemetry.logs, suppressed=self._counter(replacement))
        try:
            replacement.start()
        except StartError as error:
            logger.error("not reloaded, going back to the old configuration: %s", error)
            return self._start_again(old)
        logger.info("reloaded")
        return replacement

    def _start_again(self, config: AgentConfig) -> Agent | None:
        """The configuration that ran before must run again, however long what prevents it (a full disk) lasts."""
        wait = 1.0
        while True:
            agent = Agent(config, reason="reload failed", told_to_stop=self._told_to_stop)
            configure_logging(config.service.telemetry.logs, suppressed=self._counter(agent))
            try:
                agent.start()
            except StartError as error:
                if self._told_to_stop():
                    return None
                logger.error("cannot start again, next try in %.0f s: %s", wait, error)
                self._wake.wait(wait)
                self._wake.clear()
                if self._told_to_stop():
                    return None
                wait = min(wait * 2, 30.0)
            else:
                return agent

    @staticmethod
    def _warn(config: AgentConfig) -> None:
        for warning in config.warnings:
            logger.warning("configuration: %s", warning)

    @staticmethod
    def _counter(agent: Agent) -> Callable[[], None]:
        return partial(agent.metrics.count, metrics.COMPONENT_LOG_SUPPRESSED)
