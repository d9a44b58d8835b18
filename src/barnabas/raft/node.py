"""`QuorumNode`: roles, elections and transitions of one member of the quorum.

What leaders and others answer to Fetch is in `fetching`, what voters answer to each other in
`peers`; both are functions over the node. Nothing here waits, sends or stores: see `effects`.
"""

from __future__ import annotations

from typing import NamedTuple, assert_never

from barnabas.raft import fetching, peers
from barnabas.raft.effects import (
    BecameLeader,
    Effect,
    HighWatermark,
    LeaderChanged,
    Persist,
    Send,
    StartTimer,
    StopTimer,
)
from barnabas.raft.election import ElectionState
from barnabas.raft.errors import QuorumError
from barnabas.raft.events import (
    BeginEpochAnswered,
    BeginEpochAsked,
    EndEpochAnswered,
    EndEpochAsked,
    Event,
    FetchAsked,
    LogDurable,
    RequestFailed,
    ResignAsked,
    SnapshotFetched,
    Started,
    Timer,
    TimerExpired,
    VoteAnswered,
    VoteAsked,
    VoteUnsupported,
)
from barnabas.raft.leader import LeaderState
from barnabas.raft.messages import LeaderView, begin_ask, end_ask, vote_ask
from barnabas.raft.roles import (
    Candidate,
    Follower,
    Leader,
    Prospective,
    Resigned,
    Role,
    Unattached,
    Votes,
    election_of,
)
from barnabas.raft.types import NO_NODE, Endpoint, LogView, OffsetAndEpoch, ReplicaKey, VoterSet


class QuorumSettings(NamedTuple):
    """This node and its timeouts (ms): controller.quorum.election.timeout.ms and its siblings."""

    own: ReplicaKey
    cluster_id: str
    election_timeout_ms: int = 1000
    fetch_timeout_ms: int = 2000
    election_backoff_max_ms: int = 1000
    endpoints: tuple[Endpoint, ...] = ()


class QuorumNode:
    """One member. `role` is its state; feed it with `step` and carry out the effects in order.

    The first event must be `Started`.
    """

    def __init__(self, settings: QuorumSettings, voters: VoterSet, log: LogView) -> None:
        self.settings = settings
        self.own = settings.own
        self.voters = voters
        self.log = log
        self.role: Role = Unattached(0)
        self.effects: list[Effect] = []
        self._announced = (NO_NODE, -1)

    @property
    def epoch(self) -> int:
        """The current epoch."""
        return self.role.epoch

    @property
    def is_voter(self) -> bool:
        """Whether this node is in the voter set; all others are observers."""
        return self.voters.contains(self.own)

    @property
    def leader_id(self) -> int:
        """Who leads the current epoch, -1 when not known."""
        return election_of(self.role, self.own).leader_id

    @property
    def high_watermark(self) -> int:
        """End of what is committed, as this leader knows it; -1 before and when not leading."""
        return self.role.state.high_watermark if isinstance(self.role, Leader) else -1

    @property
    def log_end(self) -> OffsetAndEpoch:
        """End of this node's log, as compared in votes."""
        return OffsetAndEpoch(self.log.end_offset, self.log.last_epoch)

    def leader_view(self) -> LeaderView:
        """What answers say about the leader."""
        leader_id = self.leader_id
        match self.role:
            case Leader() | Resigned():
                endpoints = self.settings.endpoints
            case Follower():
                endpoints = self.role.endpoints
            case _:
                endpoints = self.voters.endpoints(leader_id)
        return LeaderView(leader_id, self.epoch, endpoints if leader_id >= 0 else ())

    def name_voters(self, voters: VoterSet) -> None:
        """The log names the voters (kraft.version 1): the same nodes, their directories known now."""
        if set(voters.voters) != set(self.voters.voters):
            raise QuorumError("the voters changed; only their directories may become known")
        self.voters = voters
        if isinstance(self.role, Leader):
            self.role.state.name_voters(voters)

    def step(self, event: Event) -> list[Effect]:
        """Take one event; returns what to do about it. Raises QuorumError when rules are broken."""
        self.effects = []
        match event:
            case Started():
                self._start(event)
            case TimerExpired():
                self._timer(event)
            case LogDurable():
                self._log_durable(event)
            case VoteAsked():
                peers.vote_asked(self, event)
            case VoteAnswered():
                peers.vote_answered(self, event)
            case VoteUnsupported():
                # The voter is of a release before KIP-996: go on without asking first.
                if isinstance(self.role, Prospective) and self.epoch == event.epoch:
                    self.become_candidate()
            case BeginEpochAsked():
                peers.begin_asked(self, event)
            case BeginEpochAnswered():
                peers.begin_answered(self, event)
            case EndEpochAsked():
                peers.end_asked(self, event)
            case EndEpochAnswered():
                peers.end_answered(self, event)
            case RequestFailed():
                self._send_again(event.voter_id)
            case FetchAsked():
                fetching.fetch_asked(self, event)
            case SnapshotFetched():
                fetching.snapshot_fetched(self, event)
            case ResignAsked():
                self.resign()
            case _:
                assert_never(event)
        return self.effects

    # Transitions

    def become_unattached(
        self, epoch: int, leader_id: int = NO_NODE, voted: ReplicaKey | None = None
    ) -> None:
        """A newer epoch without a reachable leader, or a vote given in this one."""
        # A running election timer keeps its time, so that newer epochs cannot put it off for ever.
        keep = isinstance(self.role, Unattached | Candidate | Resigned)
        self._become(Unattached(epoch, leader_id, voted), durable=True)
        if not keep:
            self.restart_election_timer()

    def become_follower(self, epoch: int, leader_id: int, endpoints: tuple[Endpoint, ...]) -> None:
        """A leader is known and can be reached."""
        if leader_id == self.own.id:
            raise QuorumError(f"node {leader_id} was told to follow itself in epoch {epoch}")
        voted = self._vote_in(epoch)
        self._become(Follower(epoch, leader_id, endpoints, voted), durable=True)
        if self.is_voter:
            timeout = self.settings.fetch_timeout_ms
            self.effects.append(StartTimer(Timer.FETCH, timeout, timeout))

    def become_prospective(self) -> None:
        """Ask for pre-votes. Not written down: the epoch stays as it is."""
        view = self.leader_view()
        votes = Votes(self.voters.voters, self.own.id)
        voted = self._vote_in(self.epoch)
        self._become(
            Prospective(self.epoch, votes, view.leader_id, voted, view.endpoints), durable=False
        )
        if votes.won:
            self.become_candidate()
            return
        self.restart_election_timer()
        self._ask_votes(votes)

    def become_candidate(self) -> None:
        """Open the next epoch and vote for oneself."""
        votes = Votes(self.voters.voters, self.own.id)
        self._become(Candidate(self.epoch + 1, votes), durable=True)
        self.campaign()

    def campaign(self) -> None:
        """As a candidate: lead at once as the sole voter, else ask for votes."""
        if not isinstance(self.role, Candidate):
            return
        if self.role.votes.won:
            self.become_leader()
            return
        self.restart_election_timer()
        self._ask_votes(self.role.votes)

    def become_leader(self) -> None:
        """Won the election of this epoch."""
        if not isinstance(self.role, Candidate) or not self.role.votes.won:
            raise QuorumError("only an elected candidate can lead")
        granting = self.role.votes.granting
        state = LeaderState(self.own, self.voters, self.log.end_offset)
        self._become(Leader(self.epoch, state), durable=True)
        self.effects.append(BecameLeader(self.epoch, tuple(self.voters.voters), granting))
        if len(self.voters.voters) > 1:
            self.restart_check_quorum()
            self._announce(state.silent_voters(0, 0))

    def resign(self) -> None:
        """Stop leading; tell the others who should be next. Not written down."""
        if not isinstance(self.role, Leader):
            return
        successors = self.role.state.successors()
        others = [key.id for key in successors]
        self._become(Resigned(self.epoch, successors, list(others)), durable=False)
        self.restart_election_timer()
        for voter_id in others:
            self._send_end(voter_id)

    def maybe_transition(self, leader_id: int, epoch: int, endpoints: tuple[Endpoint, ...]) -> None:
        """Learn of a leader or of a newer epoch. Raises QuorumError on two leaders in an epoch."""
        if not self.consistent(leader_id, epoch):
            raise QuorumError(
                f"epoch {epoch} has leader {leader_id}, known here is {self.leader_id}"
            )
        if epoch > self.epoch:
            if leader_id >= 0 and endpoints:
                self.become_follower(epoch, leader_id, endpoints)
            else:
                self.become_unattached(epoch, leader_id)
        elif (
            epoch == self.epoch
            and leader_id >= 0
            and endpoints
            and not isinstance(self.role, Follower | Leader | Resigned)
        ):
            self.become_follower(epoch, leader_id, endpoints)

    def consistent(self, leader_id: int, epoch: int) -> bool:
        """Whether it can be true that `leader_id` (-1: nobody known) leads `epoch`."""
        if leader_id < 0 or epoch < self.epoch:
            return True
        if leader_id == self.own.id:
            return epoch == self.epoch and isinstance(self.role, Leader | Resigned)
        return epoch > self.epoch or self.leader_id in (NO_NODE, leader_id)

    # Timers

    def restart_election_timer(self) -> None:
        """A fresh random time in [t, 2t]; observers do not hold elections."""
        if self.is_voter:
            timeout = self.settings.election_timeout_ms
            self.effects.append(StartTimer(Timer.ELECTION, timeout, 2 * timeout))

    def restart_check_quorum(self) -> None:
        """A leader that hears nothing of a majority for so long must give up."""
        timeout = self.settings.fetch_timeout_ms * 3 // 2
        self.effects.append(StartTimer(Timer.CHECK_QUORUM, timeout, timeout))

    def _timer(self, event: TimerExpired) -> None:
        role = self.role
        match event.timer:
            case Timer.ELECTION:
                match role:
                    case Unattached() | Candidate():
                        self.become_prospective()
                    case Prospective():
                        self.lost_pre_vote()
                    case Resigned():
                        self._become(Unattached(role.epoch + 1), durable=True)
                        self.restart_election_timer()
                        if self.voters.is_only(self.own):
                            self.become_prospective()
                    case _:
                        return
            case Timer.FETCH:
                if isinstance(role, Follower) and self.is_voter:
                    self.become_prospective()
            case Timer.CHECK_QUORUM:
                self.resign()
            case Timer.BEGIN_EPOCH:
                if isinstance(role, Leader):
                    period = self.settings.fetch_timeout_ms // 2
                    self._announce(role.state.silent_voters(event.now_ms, period))

    def lost_pre_vote(self) -> None:
        """No majority would elect this node: back to the known leader, or wait."""
        role = self.role
        if not isinstance(role, Prospective):
            return
        if role.leader_id >= 0 and role.leader_endpoints:
            self.become_follower(role.epoch, role.leader_id, role.leader_endpoints)
        else:
            self.become_unattached(role.epoch, role.leader_id, role.voted)

    # Start and progress

    def _start(self, event: Started) -> None:
        election = event.election or ElectionState(0)
        own = self.own
        if election.epoch < self.log.last_epoch:
            self._become(Unattached(self.log.last_epoch), durable=True)
        elif election.leader_id == own.id:
            # It may not vote for another in an epoch that it led, and may have lost records of
            # that epoch that were not synced: so it never leads the same epoch again.
            self._become(Resigned(election.epoch), durable=True)
        elif election.voted_for(own):
            votes = Votes(self.voters.voters, own.id)
            self._become(Candidate(election.epoch, votes), durable=True)
            self.campaign()
        elif election.leader_id >= 0 and self.voters.endpoints(election.leader_id):
            endpoints = self.voters.endpoints(election.leader_id)
            self._become(
                Follower(election.epoch, election.leader_id, endpoints, election.voted),
                durable=True,
            )
            if self.is_voter:
                timeout = self.settings.fetch_timeout_ms
                self.effects.append(StartTimer(Timer.FETCH, timeout, timeout))
        else:
            self._become(
                Unattached(election.epoch, election.leader_id, election.voted), durable=True
            )
        if self.voters.is_only(own):
            # There is nobody to wait for.
            if not isinstance(self.role, Leader):
                self.become_prospective()
        elif isinstance(self.role, Unattached | Resigned):
            self.restart_election_timer()

    def _log_durable(self, event: LogDurable) -> None:
        if isinstance(self.role, Leader) and self.role.state.own_durable(
            event.end_offset, event.now_ms
        ):
            self.effects.append(HighWatermark(self.role.state.high_watermark))

    def persist(self) -> None:
        """Write the present role down, as after a vote."""
        self.effects.append(Persist(election_of(self.role, self.own)))

    def _vote_in(self, epoch: int) -> ReplicaKey | None:
        election = election_of(self.role, self.own)
        return election.voted if election.epoch == epoch else None

    def _become(self, role: Role, *, durable: bool) -> None:
        if isinstance(self.role, Leader) and not isinstance(role, Leader):
            self.effects += (StopTimer(Timer.CHECK_QUORUM), StopTimer(Timer.BEGIN_EPOCH))
        if isinstance(role, Leader | Follower):
            self.effects.append(StopTimer(Timer.ELECTION))
        if isinstance(self.role, Follower) and not isinstance(role, Follower):
            self.effects.append(StopTimer(Timer.FETCH))
        if role.epoch < self.role.epoch:
            raise QuorumError(f"epoch would go back from {self.role.epoch} to {role.epoch}")
        self.role = role
        if durable:
            self.persist()
        leader_id = NO_NODE if isinstance(role, Resigned) else self.leader_id
        if self._announced != (leader_id, role.epoch):
            self._announced = (leader_id, role.epoch)
            self.effects.append(LeaderChanged(leader_id, role.epoch, self.leader_view().endpoints))

    # Requests to other voters

    def _ask_votes(self, votes: Votes) -> None:
        for voter_id in votes.unanswered:
            self._send_vote(voter_id)

    def _send_vote(self, voter_id: int) -> None:
        pre_vote = isinstance(self.role, Prospective)
        voter = self.voters.voters[voter_id].key
        request = vote_ask(
            self.settings.cluster_id,
            voter,
            self.own,
            self.epoch,
            self.log_end,
            pre_vote=pre_vote,
        )
        self.effects.append(Send(voter_id, request))

    def _announce(self, voter_ids: list[int]) -> None:
        for voter_id in voter_ids:
            voter = self.voters.voters[voter_id].key
            request = begin_ask(
                self.settings.cluster_id,
                voter,
                self.own.id,
                self.epoch,
                self.settings.endpoints,
            )
            self.effects.append(Send(voter_id, request))
        period = self.settings.fetch_timeout_ms // 2
        self.effects.append(StartTimer(Timer.BEGIN_EPOCH, period, period))

    def _send_end(self, voter_id: int) -> None:
        if isinstance(self.role, Resigned):
            request = end_ask(
                self.settings.cluster_id,
                self.own.id,
                self.epoch,
                self.role.preferred_successors,
                self.settings.endpoints,
            )
            self.effects.append(Send(voter_id, request))

    def _send_again(self, voter_id: int) -> None:
        """Ask anew what is still open with a voter; announcements come again by their timer."""
        match self.role:
            case Prospective() | Candidate() if voter_id in self.role.votes.unanswered:
                if not self.role.votes.lost:
                    self._send_vote(voter_id)
            case Resigned() if voter_id in self.role.unacknowledged:
                self._send_end(voter_id)
            case _:
                return
