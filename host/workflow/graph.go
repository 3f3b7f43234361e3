package workflow

import "slices"

// graph is the steps by what they need: needs[i] are indexes, each at most once.
type graph struct{ needs [][]int }

// add lets step i need step n.
func (g graph) add(i, n int) {
	if !slices.Contains(g.needs[i], n) {
		g.needs[i] = append(g.needs[i], n)
	}
}

// order returns the steps in topological order, as near to the given order as it
// can be, and whether there is one: not if steps need each other.
func (g graph) order() ([]int, bool) {
	done := make([]bool, len(g.needs))
	out := make([]int, 0, len(g.needs))
	for len(out) < len(g.needs) {
		next := -1
		for i, needs := range g.needs {
			if !done[i] && !slices.ContainsFunc(needs, func(n int) bool { return !done[n] }) {
				next = i
				break
			}
		}
		if next < 0 {
			return out, false
		}
		done[next] = true
		out = append(out, next)
	}
	return out, true
}

// cycles returns a path for each group of steps that need each other: the first
// step of the group, what it needs, and so on, back to the first.
func (g graph) cycles() [][]int {
	var out [][]int
	inCycle := make([]bool, len(g.needs))
	for i := range g.needs {
		if inCycle[i] {
			continue
		}
		path := g.path(i)
		for _, n := range path {
			inCycle[n] = true
		}
		if path != nil {
			// Steps of the same group are told of once.
			reach, back := g.closure(i), i
			for n := range g.needs {
				if reach[n] && g.closure(n)[back] {
					inCycle[n] = true
				}
			}
			out = append(out, path)
		}
	}
	return out
}

// path returns the shortest way from a step back to itself, both ends in it; nil
// if there is none.
func (g graph) path(start int) []int {
	from := make([]int, len(g.needs))
	for i := range from {
		from[i] = -1
	}
	queue := []int{start}
	for len(queue) > 0 {
		i := queue[0]
		queue = queue[1:]
		for _, n := range g.needs[i] {
			if n == start {
				path := []int{start}
				for ; i != start; i = from[i] {
					path = append(path, i)
				}
				path = append(path, start)
				slices.Reverse(path)
				return path
			}
			if from[n] < 0 {
				from[n] = i
				queue = append(queue, n)
			}
		}
	}
	return nil
}

// closure says of each step whether start needs it, directly or not.
func (g graph) closure(start int) []bool {
	seen := make([]bool, len(g.needs))
	queue := slices.Clone(g.needs[start])
	for len(queue) > 0 {
		n := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		if !seen[n] {
			seen[n] = true
			queue = append(queue, g.needs[n]...)
		}
	}
	return seen
}

// levels returns how far each step is from the beginning, from 1; order is a
// topological order of all steps.
func (g graph) levels(order []int) []int {
	out := make([]int, len(g.needs))
	for _, i := range order {
		out[i] = 1
		for _, n := range g.needs[i] {
			out[i] = max(out[i], out[n]+1)
		}
	}
	return out
}
