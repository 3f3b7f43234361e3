package telemetry

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"opsconductor.dev/host/automation"
)

// Metrics are the metrics of one host. Safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry

	requests     *prometheus.HistogramVec
	runs         *prometheus.CounterVec
	attempts     *prometheus.HistogramVec
	outcomes     *prometheus.CounterVec
	limits       *prometheus.CounterVec
	openRuns     prometheus.Gauge
	openAttempts prometheus.Gauge
	noWorker     *prometheus.GaugeVec
	hostCalls    *prometheus.CounterVec
	remoteBytes  *prometheus.CounterVec
	functions    *prometheus.HistogramVec
	pluginMemory *prometheus.HistogramVec
	turnFacts    prometheus.Histogram
	turns        prometheus.Histogram
	store        *prometheus.HistogramVec
	storeErrors  *prometheus.CounterVec
	removed      *prometheus.CounterVec
	unswept      *prometheus.GaugeVec
}

// NewMetrics returns metrics in a registry of their own, with those of the Go
// runtime and the process.
func NewMetrics(version string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "opsconductor_http_request_seconds", Help: "API requests by route pattern and status.", Buckets: seconds(),
		}, []string{"method", "route", "status"}),
		runs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "opsconductor_runs_ended_total", Help: "Runs that ended, by state.",
		}, []string{"state"}),
		attempts: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "opsconductor_attempt_seconds", Help: "Attempts that ended, by plugin, action and outcome.", Buckets: seconds(),
		}, []string{"plugin", "action", "state"}),
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "opsconductor_attempts_total", Help: "Attempts that ended, by outcome and error code.",
		}, []string{"state", "code"}),
		limits: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "opsconductor_attempt_limits_total", Help: "Attempts that passed a limit of the sandbox, by limit: log_bytes cuts the log, each other one ends the attempt.",
		}, []string{"limit"}),
		openRuns:     prometheus.NewGauge(prometheus.GaugeOpts{Name: "opsconductor_open_runs", Help: "Runs that have not ended."}),
		openAttempts: prometheus.NewGauge(prometheus.GaugeOpts{Name: "opsconductor_open_attempts", Help: "Attempts at work."}),
		noWorker: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "opsconductor_queue_without_worker", Help: "Items that wait in a task queue that no live host serves, as the leader sees it.",
		}, []string{"queue"}),
		hostCalls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "opsconductor_host_calls_total", Help: "Host calls that attempts made.",
		}, []string{"plugin"}),
		remoteBytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "opsconductor_host_call_bytes_total", Help: "Bytes of the requests and answers of attempts' host calls.",
		}, []string{"plugin"}),
		functions: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "opsconductor_host_call_seconds", Help: "Calls of host functions, by function and error code.", Buckets: seconds(),
		}, []string{"function", "code"}),
		pluginMemory: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "opsconductor_attempt_memory_bytes", Help: "Most memory of an attempt's sandbox.",
			Buckets: prometheus.ExponentialBuckets(1<<18, 2, 12),
		}, []string{"plugin"}),
		turnFacts: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "opsconductor_turn_facts", Help: "Facts in a commit of the scheduler.", Buckets: prometheus.ExponentialBuckets(1, 4, 8),
		}),
		turns: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "opsconductor_turn_commit_seconds", Help: "Commits of the scheduler.", Buckets: seconds(),
		}),
		store: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "opsconductor_store_seconds", Help: "Calls of the store by operation.", Buckets: seconds(),
		}, []string{"operation"}),
		storeErrors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "opsconductor_store_errors_total", Help: "Calls of the store that went wrong, by operation and code.",
		}, []string{"operation", "code"}),
		removed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "opsconductor_retention_removed_total", Help: "What this host's sweeps of the store have removed, by kind.",
		}, []string{"kind"}),
		unswept: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "opsconductor_retention_kept", Help: "Runs that this host's last sweep found in the way: open ones that keep what is over, and ones in no day's partition.",
		}, []string{"why"}),
	}
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "opsconductor_build_info", Help: "1, with the host's version."}, []string{"version"})
	build.WithLabelValues(version).Set(1)
	m.registry.MustRegister(m.requests, m.runs, m.attempts, m.outcomes, m.limits, m.openRuns, m.openAttempts, m.noWorker, m.hostCalls, m.remoteBytes, m.functions, m.pluginMemory,
		m.turnFacts, m.turns, m.store, m.storeErrors, m.removed, m.unswept, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// seconds are the buckets of everything that takes time: 0.1 ms to 5 minutes.
func seconds() []float64 {
	return []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}
}

// Handler serves the metrics in the format that a request asks for.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry, MaxRequestsInFlight: 4})
}

// Gauge adds a metric whose value is asked for when it is read. The name is
// prefixed with "opsconductor_"; one name is added once.
func (m *Metrics) Gauge(name, help string, value func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "opsconductor_" + name, Help: help}, value))
}

// Request counts a request of the API.
func (m *Metrics) Request(method, route string, status int, took time.Duration) {
	m.requests.WithLabelValues(knownMethod(method), route, strconv.Itoa(status)).Observe(took.Seconds())
}

// knownMethod keeps a caller from making label values up.
func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}

// RunEnded counts a run by its final state.
func (m *Metrics) RunEnded(state automation.RunState) { m.runs.WithLabelValues(string(state)).Inc() }

// AttemptEnded counts an attempt by its outcome, as the scheduler committed it.
func (m *Metrics) AttemptEnded(state automation.ItemState, code automation.Code) {
	if code != "" {
		code = automation.Code(m.code(code))
	}
	m.outcomes.WithLabelValues(string(state), string(code)).Inc()
}

// Open sets how many runs have not ended and how many attempts are at work.
func (m *Metrics) Open(runs, attempts int) {
	m.openRuns.Set(float64(runs))
	m.openAttempts.Set(float64(attempts))
}

// QueuesWithoutWorker sets how many items wait in each task queue that no live host
// serves.
func (m *Metrics) QueuesWithoutWorker(waiting map[string]int) {
	m.noWorker.Reset()
	for queue, n := range waiting {
		m.noWorker.WithLabelValues(queue).Set(float64(n))
	}
}

// Attempt measures an attempt that an executor has ended: its time and what it used.
func (m *Metrics) Attempt(plugin, action string, o automation.Outcome) {
	m.attempts.WithLabelValues(plugin, action, string(o.State)).Observe(o.EndedAt.Sub(o.StartedAt).Seconds())
	m.hostCalls.WithLabelValues(plugin).Add(float64(o.Usage.HostCalls))
	m.remoteBytes.WithLabelValues(plugin).Add(float64(o.Usage.RemoteBytes))
	if o.Usage.Limit != "" {
		m.limits.WithLabelValues(o.Usage.Limit).Inc()
	}
	if o.Usage.LogTruncated {
		m.limits.WithLabelValues("log_bytes").Inc()
	}
	if o.Usage.MemoryBytes > 0 {
		m.pluginMemory.WithLabelValues(plugin).Observe(float64(o.Usage.MemoryBytes))
	}
}

// HostCall counts a call of a host function; code "" is success.
func (m *Metrics) HostCall(function string, code automation.Code, wall time.Duration) {
	m.functions.WithLabelValues(function, string(code)).Observe(wall.Seconds())
}

// code keeps a plugin from making label values up: its own codes are counted as one.
func (m *Metrics) code(c automation.Code) string {
	if slices.Contains(automation.Codes(), c) {
		return string(c)
	}
	return "plugin_code"
}

// Turn counts a commit of the scheduler.
func (m *Metrics) Turn(facts int, commit time.Duration) {
	m.turnFacts.Observe(float64(facts))
	m.turns.Observe(commit.Seconds())
}

// Store counts a call of the store.
func (m *Metrics) Store(operation string, took time.Duration, err error) {
	m.store.WithLabelValues(operation).Observe(took.Seconds())
	if err != nil {
		m.storeErrors.WithLabelValues(operation, string(automation.CodeOf(err))).Inc()
	}
}

// Swept counts what a sweep of the store has removed.
func (m *Metrics) Swept(runs, plans, keys, hosts int64) {
	for kind, n := range map[string]int64{"runs": runs, "plans": plans, "idempotency_keys": keys, "hosts": hosts} {
		m.removed.WithLabelValues(kind).Add(float64(n))
	}
}

// Unswept sets how many runs the last sweep found in its way: open ones that keep
// what is over, and ones that stand in no day's partition.
func (m *Metrics) Unswept(open, misplaced int64) {
	m.unswept.WithLabelValues("open").Set(float64(open))
	m.unswept.WithLabelValues("no_partition").Set(float64(misplaced))
}
