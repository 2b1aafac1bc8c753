package server

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/oidc"
	"carekey.dev/carekey/internal/oidc/logout"
	"carekey.dev/carekey/internal/outbox"
	"carekey.dev/carekey/internal/server/faultlog"
)

// metrics is what Prometheus can ask for. No label names a person or holds a
// path as it was typed: routes and kinds of fault are finitely many.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.HistogramVec
	faults   *prometheus.CounterVec
}

// measure makes one number of a description, with its labels.
type measure func(what *prometheus.Desc, value float64, labels ...string)

// asked is what the database says when somebody wants to know it.
type asked struct {
	db    *db.DB
	descs []*prometheus.Desc
	// read returns what to tell once the reading has succeeded.
	read func(tx *db.Tx) (tell func(measure), err error)
}

// Describe names the numbers.
func (a asked) Describe(all chan<- *prometheus.Desc) {
	for _, what := range a.descs {
		all <- what
	}
}

// Collect leaves the numbers out when the database does not answer: the other
// metrics are needed most then.
func (a asked) Collect(all chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), lookFor)
	defer cancel()
	var tell func(measure)
	err := a.db.Read(ctx, func(tx *db.Tx) (err error) {
		tell, err = a.read(tx)
		return err
	})
	if err != nil {
		return
	}
	tell(func(what *prometheus.Desc, value float64, labels ...string) {
		all <- prometheus.MustNewConstMetric(what, prometheus.GaugeValue, value, labels...)
	})
}

// newLetters counts the messages that have not reached anybody.
func newLetters(d *db.DB) asked {
	messages := prometheus.NewDesc("carekey_outbox_messages",
		"Messages that have not arrived: waiting, retried after a failure, given_up in the last 30 days.", []string{"state"}, nil)
	return asked{d, []*prometheus.Desc{messages}, func(tx *db.Tx) (func(measure), error) {
		s, err := outbox.Stand(tx)
		return func(is measure) {
			for state, n := range map[string]int64{"waiting": s.Waiting, "retried": s.Retried, "given_up": s.GivenUp} {
				is(messages, float64(n), state)
			}
		}, err
	}}
}

// newFarewells counts the relying parties that have not heard of sign-outs.
func newFarewells(d *db.DB) asked {
	deliveries := prometheus.NewDesc("carekey_logout_deliveries",
		"Sign-outs that relying parties have not been told of, by client: waiting, retried after a failure, given_up in the last 30 days.",
		[]string{"client", "state"}, nil)
	return asked{d, []*prometheus.Desc{deliveries}, func(tx *db.Tx) (func(measure), error) {
		counts, err := logout.Stand(tx)
		return func(is measure) {
			for _, c := range counts {
				is(deliveries, float64(c.N), c.ClientID, strings.ReplaceAll(string(c.State), " ", "_"))
			}
		}, err
	}}
}

// signingKeys says since when the provider's keys sign: one that is not
// followed in its time means that the schedule fails.
type signingKeys struct {
	provider *oidc.Provider
	since    *prometheus.Desc
}

func newSigningKeys(p *oidc.Provider) signingKeys {
	return signingKeys{p, prometheus.NewDesc("carekey_signing_key_since_timestamp_seconds",
		"When the key that signs now began to, by algorithm.", []string{"algorithm"}, nil)}
}

func (k signingKeys) Describe(all chan<- *prometheus.Desc) { all <- k.since }

func (k signingKeys) Collect(all chan<- prometheus.Metric) {
	for algorithm, since := range k.provider.KeysSince() {
		all <- prometheus.MustNewConstMetric(k.since, prometheus.GaugeValue, float64(since.Unix()), string(algorithm))
	}
}

func newMetrics(d *db.DB, faults *faultlog.Log) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "carekey_http_request_seconds", Help: "How long requests took, by route and status.",
			Buckets: []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		}, []string{"route", "status"}),
		faults: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "carekey_faults_total", Help: "Faults that people saw, by kind.",
		}, []string{"kind"}),
	}
	count := func(name, help string, value func() uint64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(value()) })
	}
	m.registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.requests, m.faults, newLetters(d), newFarewells(d), newFreshness(d),
		count("carekey_db_commits_total", "Write transactions made durable; one may carry many writes.", func() uint64 { return d.Counters().Commits }),
		count("carekey_db_statements_total", "SQL statements.", func() uint64 { return d.Counters().Statements }),
		count("carekey_db_reads_total", "Read transactions.", func() uint64 { return d.Counters().Reads }),
		count("carekey_db_writes_total", "Writes asked for.", func() uint64 { return d.Counters().Writes }),
		count("carekey_db_busy_total", "Transactions that found the database too busy.", func() uint64 { return d.Counters().Busy }),
		count("carekey_faults_dropped_total", "Faults that explain cannot show because too many came at once.", faults.Dropped),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "carekey_db_pending_writes", Help: "Writes that wait or run now.",
		}, func() float64 { return float64(d.Counters().Pending) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "carekey_clock_skew_seconds", Help: "How far the database's clock is ahead of this node's.",
		}, func() float64 { return d.ClockSkew().Seconds() }),
	)
	return m
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// observe counts one answer under its route.
func (m *metrics) observe(route string, status int, took time.Duration) {
	if route == "" {
		route = "unknown"
	}
	m.requests.WithLabelValues(route, strconv.Itoa(status)).Observe(took.Seconds())
}
