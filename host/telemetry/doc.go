// Package telemetry sets up logs and metrics. Its Metrics has the methods that
// the other rooms ask for in their own small interfaces, so that none of them
// knows Prometheus.
//
// Labels come from closed sets (states, codes, route patterns) or from the
// plugins that an operator uploaded; never from a request, an address or a run.
package telemetry
