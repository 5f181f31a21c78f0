package swim

import (
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// State is what this node believes of a member.
type State uint8

const (
	// Alive: the member answers.
	Alive State = iota + 1
	// Suspect: direct and indirect probes went unanswered.
	Suspect
	// Away: the member announced that it stops and means to come back.
	Away
	// Dead: the member was suspect or away for too long.
	Dead

	numStates
)

// String returns the state's lower-case name.
func (s State) String() string {
	switch s {
	case Alive:
		return "alive"
	case Suspect:
		return "suspect"
	case Away:
		return "away"
	case Dead:
		return "dead"
	}
	return "unknown"
}

// present says whether the state is one in which the member takes part in the network.
func (s State) present() bool { return s == Alive || s == Suspect }

// Departure is what a peer says of leaving the network for good. Its values are those on the wire.
type Departure uint8

const (
	// Staying: the peer means to stay, or to come back.
	Staying Departure = iota
	// Leaving: the peer runs as ever, and hands over what it holds because it goes for good.
	Leaving
	// Left: the peer is gone. Who hears it forgets the peer at once, and takes it in again only with a higher incarnation.
	Left

	numDepartures
)

// Valid says whether d is one of the departures.
func (d Departure) Valid() bool { return d < numDepartures }

// Claim is what a peer says of itself. The caller verifies the peer's signature before it hands a claim to the machine. Claims never change.
type Claim struct {
	ID peer.ID
	// Incarnation orders the claims of one peer: the higher wins. It is above 0 in every signed claim.
	Incarnation uint64
	// Away is how long the peer expects to be absent, counted from when its claim is first heard so that clocks need not agree; 0 when it is present.
	Away time.Duration
	// Departure says whether the peer leaves for good. A peer that has Left is not Away.
	Departure Departure
	Addrs     []ma.Multiaddr
	// Relay says that the peer relays for members that can't be reached otherwise.
	Relay   bool
	Zone    string
	Version string
	// Sealed is the claim's signed envelope, as it is passed on. It is nil for a peer that is only remembered.
	Sealed []byte
}

// Member is a peer that this node has a verdict on.
type Member struct {
	Claim *Claim
	State State
	// Since is when State was entered, LastSeen when the member last answered this node, or zero.
	Since, LastSeen time.Time
	// RTT is the smoothed round-trip time of direct probes; 0 while unknown.
	RTT time.Duration
}

// Rumour is the word of one peer about another's state. It makes its hearer probe the subject, nothing more.
type Rumour struct {
	Subject peer.ID
	// Incarnation is the newest of the subject's that the speaker knows. A rumour about an older one than the hearer knows is void.
	Incarnation uint64
	// Verdict is Alive, Suspect or Dead.
	Verdict State
	// Own is true when the speaker came to the verdict by its own probes, false when it passes on what it heard.
	Own bool
}

// Message is what rides on every exchange between two peers, in both directions.
type Message struct {
	// Incarnation is the sender's own, Known the receiver's that the sender knows; 0 when none.
	Incarnation, Known uint64
	Claims             []*Claim
	Rumours            []Rumour
	// Stale names the claims that came with the message and were no news, which need not be verified. It is not sent.
	Stale []Entry
}

// Bounds on a Message.
const (
	MaxClaims  = 6
	MaxRumours = 16
)

// Entry names the newest claim that a node has of a member that it doesn't believe dead.
type Entry struct {
	ID          peer.ID
	Incarnation uint64
}

// Action is something that the machine asks its caller to do: one of Probe, Ask, Sync, Refute, Disconnect, Changed and Forgotten.
type Action interface{ action() }

// ProbeID names one probe.
type ProbeID uint64

// Probe asks for a direct probe of Target: connect where needed, exchange Messages and report Answered or Failed. A probe that
// is neither after Timeout may be given up.
type Probe struct {
	ID      ProbeID
	Target  peer.ID
	Timeout time.Duration
	// Addrs are where a candidate says it is; nil for members, whose addresses Changed has told.
	Addrs []ma.Multiaddr
}

// Ask asks for a request to Helper that it probe Target, whose answer is reported by Vouched or Denied.
type Ask struct {
	ID             ProbeID
	Helper, Target peer.ID
	Timeout        time.Duration
}

// Sync asks for an exchange of all claims with Target.
type Sync struct{ Target peer.ID }

// Refute asks for a new claim of this node with an incarnation above Above, to be handed to Announce.
type Refute struct{ Above uint64 }

// Disconnect says that connections to Target carry nothing any more: closing them makes the next probe dial anew.
type Disconnect struct{ Target peer.ID }

// Changed says that Member is new, or that its state or claim changed. From is its state before, 0 when it is new.
type Changed struct {
	Member Member
	From   State
}

// Forgotten says that a member was removed.
type Forgotten struct{ ID peer.ID }

func (Probe) action()      {}
func (Ask) action()        {}
func (Sync) action()       {}
func (Refute) action()     {}
func (Disconnect) action() {}
func (Changed) action()    {}
func (Forgotten) action()  {}
