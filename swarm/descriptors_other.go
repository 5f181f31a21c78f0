//go:build !unix

package swarm

// descriptorLimit returns how many files and sockets the process may have open. These systems have no such limit of their own.
func descriptorLimit() int { return fallbackDescriptors }
