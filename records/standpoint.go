package records

// A standpoint is a level as a peer tells it.
type standpoint struct {
	level Level
	// resumed says that the peer was synced when it stopped without having announced it: what it acknowledged is still there.
	resumed bool
	// unmet says that another holder came, or came back, that this one has not been compared with: it may know more.
	unmet bool
}

const (
	resumedBit = 0x80
	unmetBit   = 0x40
)

func (p standpoint) byte() byte {
	b := byte(p.level)
	if p.resumed {
		b |= resumedBit
	}
	if p.unmet {
		b |= unmetBit
	}
	return b
}

func standpointOf(b byte) (p standpoint, ok bool) {
	p = standpoint{Level(b &^ (resumedBit | unmetBit)), b&resumedBit != 0, b&unmetBit != 0}
	return p, p.level < numLevels
}

// certain reports whether an answer from this standpoint counts towards "not found".
func (p standpoint) certain() bool { return p.level.certain() && !p.unmet }
