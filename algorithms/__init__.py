"""The catalogue: every election of the suite, by name."""

from algorithms.complete.afek_gafni import AfekGafni
from algorithms.complete.bully import Bully
from algorithms.complete.invitation import GarciaMolina
from algorithms.complete.lamport import Lamport
from algorithms.complete.randomized import Randomized
from algorithms.complete.sublinear import Sublinear
from algorithms.graph.echo_extinction import EchoExtinction
from algorithms.graph.flood_max import FloodMax
from algorithms.model import Node
from algorithms.omega.omega import Omega
from algorithms.quorum.paxos import Paxos
from algorithms.quorum.raft import Raft
from algorithms.quorum.viewstamped import Viewstamped
from algorithms.quorum.zookeeper_fle import ZooKeeperFLE
from algorithms.ring.chang_roberts import ChangRoberts
from algorithms.ring.dolev_klawe_rodeh import DolevKlaweRodeh
from algorithms.ring.franklin import Franklin
from algorithms.ring.higham_przytycka import HighamPrzytycka
from algorithms.ring.hirschberg_sinclair import HirschbergSinclair
from algorithms.ring.itai_rodeh import ItaiRodeh
from algorithms.ring.lelann import LeLann
from algorithms.ring.peterson import Peterson
from algorithms.ring.ring import Ring

ALGORITHMS: dict[str, type[Node]] = {
    "bully": Bully,
    "ring": Ring,
    "lamport": Lamport,
    "chang_roberts": ChangRoberts,
    "randomized": Randomized,
    "lelann": LeLann,
    "hirschberg_sinclair": HirschbergSinclair,
    "franklin": Franklin,
    "dolev_klawe_rodeh": DolevKlaweRodeh,
    "peterson": Peterson,
    "higham_przytycka": HighamPrzytycka,
    "itai_rodeh": ItaiRodeh,
    "raft": Raft,
    "zookeeper_fle": ZooKeeperFLE,
    "paxos": Paxos,
    "viewstamped": Viewstamped,
    "omega": Omega,
    "afek_gafni": AfekGafni,
    "invitation": GarciaMolina,
    "sublinear": Sublinear,
    "echo_extinction": EchoExtinction,
    "flood_max": FloodMax,
}
