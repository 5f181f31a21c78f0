package node

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	v1 "github.com/folkmoot/folkmoot/api/v1"
	"github.com/folkmoot/folkmoot/fault"
)

// Bounds beyond which something is found.
const (
	// slowSync is how long a disk may take to sync a small file: each write waits for it.
	slowSync = 50 * time.Millisecond
	// lowDisk is the share of the disk, one in so many, below which little is free, and fullDisk the bytes below which it is a problem.
	lowDisk  = 10
	fullDisk = 512 << 20
	// quotaShare is how much of a quota, in percent, may be used.
	quotaShare = 90
	// clockOff is by how much the clock may differ from others'.
	clockOff = 10 * time.Second
	// minFiles is how many file descriptors a node should be allowed, and filesShare how many of them, in percent, it may use.
	minFiles   = 1024
	filesShare = 80
	// missedInARow is for how many of the last blocks a validator has not voted that is said to be absent: one that is slow misses one now and then.
	missedInARow = 3
	// wantedUDPBuffer is the socket buffer, in bytes, that QUIC asks for; with much less it loses packets under load.
	wantedUDPBuffer = 7 << 20
)

// What is looked at, in the order of the report.
const (
	checkPeers        = "peers"
	checkReachability = "reachability"
	checkClock        = "clock"
	checkDisk         = "disk"
	checkFiles        = "files"
	checkUDP          = "udp"
	checkRecords      = "records"
	checkLedger       = "ledger"
	checkVersions     = "versions"
)

var checks = []string{checkPeers, checkReachability, checkClock, checkDisk, checkFiles, checkUDP, checkRecords, checkLedger, checkVersions}

// entrance is what became of an attempt to enter by an address.
type entrance string

const (
	entranceOpen    entrance = "open"
	entranceRefused entrance = "refused"
	entranceSilent  entrance = "silent"
	entranceUnheard entrance = "unheard" // over UDP, which tells no closed port from a firewall
	entranceForeign entrance = "foreign"
	entranceSelf    entrance = "self"
	entranceFailed  entrance = "failed"
)

// errOnlySelf says that a name leads to this node and to nobody else.
var errOnlySelf = errors.New("it is this node")

// facts are what a diagnosis is made of.
type facts struct {
	now           time.Time
	alive         int // others
	suspects      int
	suspect       []string // some of them
	dead          []string // others that died in the last minutes
	kubernetes    bool
	mdns          bool
	multicast     error               // why mDNS can't work, of a node that is alone
	names         map[string]error    // of --dns, of a node that is alone: nil where there are addresses
	bootstrap     map[string]entrance // by what the address is called, of --bootstrap and of the names
	failures      map[string]error    // of entranceFailed
	reachability  *v1.Reachability
	behind        time.Duration // the clock behind most validators', by what they proposed
	written       time.Duration // the clock behind that of somebody who wrote
	ahead         time.Duration // the clock ahead of those of half of the others; negative: behind
	clocks        int           // how many others that was compared with
	sync          time.Duration
	syncErr       error
	free, total   uint64 // bytes of the disk; total 0: not known
	quota, used   int64
	files, limit  int // file descriptors; limit 0: not known
	quic          bool
	udpBuffer     int // 0: not known
	standing      v1.Standing
	standingErr   error
	ledgerProblem string
	absent        []string // keys of validators
	power, voted  int64
	stands        bool // the ledger waits for the votes of those
	version       string
	versions      map[string]int // how many peers run each
}

// diagnosis collects findings.
type diagnosis struct{ findings []v1.Finding }

func (d *diagnosis) problem(check, command, summary string, args ...any) {
	d.findings = append(d.findings, v1.Finding{Check: check, Severity: v1.SeverityProblem, Summary: fmt.Sprintf(summary, args...), Command: command})
}

func (d *diagnosis) warning(check, command, summary string, args ...any) {
	d.findings = append(d.findings, v1.Finding{Check: check, Severity: v1.SeverityWarning, Summary: fmt.Sprintf(summary, args...), Command: command})
}

// diagnose says what the facts mean. It asks nobody.
func diagnose(f *facts) v1.Diagnosis {
	d := &diagnosis{}
	d.peers(f)
	d.reach(f)
	d.clock(f)
	d.disk(f)
	d.machine(f)
	d.records(f)
	d.ledger(f)
	d.version(f)
	slices.SortStableFunc(d.findings, func(a, b v1.Finding) int { return cmp.Compare(a.Severity, b.Severity) })
	healthy := !slices.ContainsFunc(d.findings, func(f v1.Finding) bool { return f.Severity == v1.SeverityProblem })
	return v1.Diagnosis{Healthy: healthy, Time: f.now, Checks: checks, Findings: d.findings}
}

func (d *diagnosis) peers(f *facts) {
	if len(f.suspect) > 0 {
		d.warning(checkPeers, "moot ping "+f.suspect[0], "%s not answered lately: %s", many(f.suspects, "peer has", "peers have"), some(f.suspect, f.suspects))
	}
	if len(f.dead) > 0 {
		d.warning(checkPeers, "moot peers", "%s died: %s; start what is to come back, and others copy what it held", many(len(f.dead), "peer has", "peers have"), some(f.dead, len(f.dead)))
	}
	if f.alive > 0 {
		return
	}
	told := len(d.findings)
	d.entrances(f)
	d.names(f)
	if f.mdns && f.multicast != nil {
		d.warning(checkPeers, "moot run --bootstrap /ip4/ADDRESS/tcp/4242", "no peers: mDNS can't find any, as multicast does not work on this machine: %v; name a peer", f.multicast)
	}
	if len(d.findings) > told {
		return
	}
	if len(f.bootstrap)+len(f.names) > 0 {
		d.problem(checkPeers, "moot run --log-level debug", "no peers: the addresses that were named are good, and nobody is known yet; the log says what is tried")
		return
	}
	d.warning(checkPeers, "moot run --bootstrap /ip4/ADDRESS/tcp/4242", "no peers: no address of another was named, and nobody is on this link; if there are others, name one")
}

// names tells which names lead to nobody.
func (d *diagnosis) names(f *facts) {
	for _, name := range slices.Sorted(maps.Keys(f.names)) {
		host, _, _ := strings.Cut(name, ":")
		command := "dig +short " + host
		if f.kubernetes {
			command = "kubectl get endpointslices"
		}
		switch err := f.names[name]; {
		case errors.Is(err, errOnlySelf): // as with the first pod of many, and with one alone
			d.warning(checkPeers, command, "no peers: the name %s leads to this node alone", name)
		case fault.KindOf(err) == fault.NotFound:
			d.problem(checkPeers, command, "no peers: the name %s has no addresses: nobody is there yet, or it is another name", name)
		case err != nil:
			d.problem(checkPeers, command, "no peers: the name %s can't be looked up: %v", name, err)
		}
	}
}

// many writes a number of things, of which one has another name.
func many[N int | int64](n N, one, several string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, several)
}

// some lists names, maxSuspects at most, and says where there are more than those.
func some(names []string, all int) string {
	names = names[:min(len(names), maxSuspects)]
	list := strings.Join(names, ", ")
	if all > len(names) {
		list += ", …"
	}
	return list
}

// entrances tells why none of the addresses that were named leads to others.
func (d *diagnosis) entrances(f *facts) {
	silent := "open TCP and UDP port 4242 in the firewall between the two"
	if f.kubernetes {
		silent = "kubectl get networkpolicies"
	}
	for _, address := range slices.Sorted(maps.Keys(f.bootstrap)) {
		switch f.bootstrap[address] {
		case entranceRefused:
			d.problem(checkPeers, "moot status", "no peers: nobody listens at %s: the port is closed there; run this on the other machine, which tells its addresses", address)
		case entranceSilent:
			why := "a firewall drops the packets, or the machine is off"
			if f.kubernetes {
				why = "a NetworkPolicy drops the packets, or the pod is gone"
			}
			d.problem(checkPeers, silent, "no peers: %s does not answer: %s", address, why)
		case entranceUnheard:
			d.problem(checkPeers, silent, "no peers: %s does not answer: nobody listens there, a firewall drops the packets, or the machine is off", address)
		case entranceSelf:
			if _, err := ma.NewMultiaddr(address); err == nil { // of a name, it is one of the addresses that are wanted there
				d.problem(checkPeers, "moot run --bootstrap /ip4/ADDRESS/tcp/4242", "no peers: %s is this node itself: name another", address)
			}
		case entranceForeign:
			d.problem(checkPeers, "moot status", "no peers: the node at %s is of another network than this; compare both networks", address)
		case entranceFailed:
			d.problem(checkPeers, "moot run --log-level debug", "no peers: %s: %v", address, f.failures[address])
		}
	}
}

func (d *diagnosis) reach(f *facts) {
	r := f.reachability
	if r == nil || r.State != "unreachable" {
		return
	}
	if len(r.Relays) > 0 {
		d.warning(checkReachability, "moot run --announce /ip4/ADDRESS/tcp/4242", "others can't dial this node, and reach it through %s; a port that is forwarded to it, and told, would do without", many(len(r.Relays), "relay", "relays"))
		return
	}
	d.problem(checkReachability, "moot run --announce /ip4/ADDRESS/tcp/4242", "others can't dial this node, and no relay is found: forward a port to it, and tell the address")
}

func (d *diagnosis) clock(f *facts) {
	const command = "timedatectl set-ntp true"
	behind := max(f.behind, -f.ahead)
	pair := f.clocks == 1 && f.behind <= clockOff // nobody says which of the two is right
	switch {
	case behind > clockOff && pair:
		d.problem(checkClock, command, "this machine's clock is %s behind the only other one that it was compared with; set both", behind.Round(time.Second))
	case behind > clockOff:
		d.problem(checkClock, command, "this machine's clock is %s behind others'", behind.Round(time.Second))
	case f.ahead > clockOff && pair:
		d.problem(checkClock, command, "this machine's clock is %s ahead of the only other one that it was compared with; set both", f.ahead.Round(time.Second))
	case f.ahead > clockOff:
		d.problem(checkClock, command, "this machine's clock is %s ahead of others' (%d were compared): what it writes may be put off or refused", f.ahead.Round(time.Second), f.clocks)
	case f.written > clockOff && f.clocks > 1: // this one is right by most
		d.warning(checkClock, "moot peers", "somebody wrote a record with a clock that is %s ahead of this machine's, which goes like most of the %d others: look at the clocks of the others", f.written.Round(time.Second), f.clocks)
	case f.written > clockOff:
		d.problem(checkClock, command, "this machine's clock is %s behind that of a peer that wrote a record, and others' are not known yet; set both", f.written.Round(time.Second))
	}
}

func (d *diagnosis) disk(f *facts) {
	switch {
	case errors.Is(f.syncErr, syscall.ENOSPC) && f.free >= fullDisk:
		d.problem(checkDisk, "df -i", "the disk has room and takes no more files: its inodes are used up; remove files that are not needed")
	case f.syncErr != nil:
		d.problem(checkDisk, "df -h", "the disk can't be written to: %v", f.syncErr)
	case f.sync > slowSync:
		d.warning(checkDisk, "iostat -x 1 5", "the disk takes %s to sync a small file: each write waits for that", f.sync.Round(time.Millisecond))
	}
	switch {
	case f.total > 0 && f.free < fullDisk:
		d.problem(checkDisk, "df -h", "the disk is nearly full: %d MiB are free; the ledger stops, and records are refused, before it is", f.free>>20)
	case f.total > 0 && f.free < f.total/lowDisk:
		d.warning(checkDisk, "df -h", "the disk is filling up: %d MiB of %d are free", f.free>>20, f.total>>20)
	}
	if f.quota > 0 && f.used > f.quota/100*quotaShare {
		d.problem(checkDisk, "moot run --quota SIZE", "records use %d MiB of a quota of %d: over it new ones are refused", f.used>>20, f.quota>>20)
	}
}

func (d *diagnosis) machine(f *facts) {
	switch {
	case f.limit > 0 && f.files > f.limit/100*filesShare:
		d.problem(checkFiles, "ulimit -n 65536", "%d of %d file descriptors are in use", f.files, f.limit)
	case f.limit > 0 && f.limit < minFiles:
		d.warning(checkFiles, "ulimit -n 65536", "the node may open %d files: connections are kept to what is left of them", f.limit)
	}
	if f.quic && f.udpBuffer > 0 && f.udpBuffer < wantedUDPBuffer {
		d.warning(checkUDP, fmt.Sprintf("sysctl -w net.core.rmem_max=%d net.core.wmem_max=%d", wantedUDPBuffer, wantedUDPBuffer), "UDP sockets get buffers of %d KiB, and QUIC wants %d: it loses packets under load", f.udpBuffer>>10, wantedUDPBuffer>>10)
	}
}

func (d *diagnosis) records(f *facts) {
	if f.standingErr != nil {
		d.problem(checkRecords, "moot status", "how the network's records fare can't be told: %v", f.standingErr)
		return
	}
	if n := f.standing.Unreachable; n > 0 {
		d.problem(checkRecords, "moot peers", "%s: too few of the holders are there; bring those back that are dead or away", many(n, "record can't be read", "records can't be read"))
	}
	if n := f.standing.Below; n > 0 {
		d.warning(checkRecords, "moot status", "%s fewer copies than wanted; they are being made, as far as there are peers for them", many(n, "record has", "records have"))
	}
	// In a network that is larger than a node's view the answer is incomplete though nobody is silent.
	if silent := slices.DeleteFunc(slices.Clone(f.standing.Missing), func(id string) bool { return slices.Contains(f.dead, id) }); len(silent) > 0 {
		d.warning(checkRecords, "moot peers", "%s did not say how their records fare: %s", many(len(silent), "peer", "peers"), some(silent, len(silent)))
	}
}

func (d *diagnosis) ledger(f *facts) {
	if f.ledgerProblem != "" {
		d.problem(checkLedger, "moot ledger status", "%s", f.ledgerProblem)
	}
	if len(f.absent) == 0 {
		return
	}
	const text = "validators with %d of %d of the voting power have voted for none of the last %d blocks: %s"
	missing := f.power - f.voted
	if f.stands {
		d.problem(checkLedger, "moot ledger validators", "the ledger stands still: validators with %d of %d of the voting power don't vote, and more than two thirds are needed: bring some of them back: %s", missing, f.power, strings.Join(f.absent, ", "))
		return
	}
	d.warning(checkLedger, "moot ledger validators", text, missing, f.power, missedInARow, strings.Join(f.absent, ", "))
}

func (d *diagnosis) version(f *facts) {
	others := maps.Clone(f.versions)
	delete(others, f.version)
	delete(others, "")
	if len(others) == 0 {
		return
	}
	var list []string
	for _, version := range slices.Sorted(maps.Keys(others)) {
		list = append(list, fmt.Sprintf("%d with %s", others[version], version))
	}
	d.warning(checkVersions, "moot peers --json | jq '.peers[] | {id, version}'", "peers run other versions than this node's %s: %s; two releases in a row work together", f.version, strings.Join(list, ", "))
}
