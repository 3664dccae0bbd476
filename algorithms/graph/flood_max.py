"""FloodMax: everybody tells its neighbours the highest id it knows, round by round, as often as the graph is wide.

In each round a node sends the highest id that it has seen over all its links and waits for what its neighbours send in that
round. After as many rounds as there are hops between the two nodes farthest apart everybody has seen the highest id of all:
no announcement is needed. A node that had not started joins with the first message that reaches it.

Model        any connected graph · asynchronous · reliable channels · no failures · unique ids, those of neighbours
             unknown · the diameter D known
Guarantees   exactly one leader: the highest id; finishes in every schedule
Messages     Flood(round, id)            "the highest that I know in this round"    O(log n) bits
Complexity   exactly 2mD on m links, whoever starts
             time D delta if all start, at most 2D if one does
Beyond the model   a crash: the neighbours wait for ever; the election must be opened anew on the graph of the living, in
             which the neighbours of the dead are joined by links of their own, and whose diameter is then known, too
References   N. Lynch, Distributed Algorithms, 1996, sec. 4.1.2. Deviation: rounds are made by counting, since everybody
             sends over all links in each; the synchronous original says nothing of who has not started. Not the optimised
             version (4.1.3), in which a node with nothing new is silent: only synchrony can tell silence from delay.
"""

from algorithms.model import *


class Flood(Message, frozen=True):
    round: int
    id: Id


def _messages(arrangement: Arrangement) -> dict[str, int]:
    """Every link both ways in each round."""
    return {"Flood": 2 * arrangement.edges * arrangement.diameter}


class FloodMax(Node):
    model = Model(topology="any", timing="asynchronous", channels="reliable", failures="none", knows=("diameter",))
    messages = (Flood,)
    claims = Claims(
        messages=_messages,
        leader=lambda arrangement: max(arrangement.ids[p] for p in arrangement.live),
        all=Bounds("2mD"),
        time="Dδ, or up to 2Dδ where one starts",
        source="Lynch 1996",
    )

    def init(self) -> None:
        self.round = 0
        self.highest = self.id
        self.heard: dict[int, list[Id]] = {}

    def on_start(self) -> None:
        if self.round == 0:
            self.flood()

    def flood(self) -> None:
        """Enter the next round."""
        self.round += 1
        self.broadcast(Flood(self.round, self.highest))

    def on_flood(self, port: Port, msg: Flood) -> None:
        self.on_start()
        self.heard.setdefault(msg.round, []).append(msg.id)
        while len(self.heard.get(self.round, ())) == len(self.ports):
            self.highest = max(self.highest, *self.heard.pop(self.round))
            if self.round == self.view.diameter:
                self.elect(self.highest)
                return
            self.flood()
