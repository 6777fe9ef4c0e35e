package main

import (
	"encoding/json"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// What /stub/settings sets. Verify: 0 nothing, 1 signatures, 2 bodies parsed whole as well.
type settings struct {
	LatencyUs  int64           `json:"latency_us"`
	Verify     int             `json:"verify"`
	Features   int             `json:"features"`   // of a record
	Identifier string          `json:"identifier"` // the feature records are told apart by
	Group      json.RawMessage `json:"group"`      // what DescribeFeatureGroup answers
}

type stub struct {
	who         identity
	settings    atomic.Pointer[settings]
	census      census
	requests    atomic.Int64
	records     atomic.Int64
	bytes       atomic.Int64
	connections atomic.Int64
	expects     atomic.Int64
	verified    atomic.Int64
	refused     atomic.Int64
	control     atomic.Int64
	inFlight    atomic.Int64
	maxInFlight atomic.Int64
	why         atomic.Value
}

var (
	putFine   = answer(200, "")
	batchFine = answer(200, `{"Errors":[],"UnprocessedEntries":[]}`)
)

func newStub(who identity) *stub {
	made := &stub{who: who}
	made.settings.Store(&settings{Verify: 2})
	made.reset()
	return made
}

func (s *stub) verifier() *verifier {
	return &verifier{who: s.who, now: time.Now}
}

// answer decides what a request gets. Unsigned requests reach nothing but /stub/.
func (s *stub) answer(r *request, checks *verifier) []byte {
	if strings.HasPrefix(r.target, "/stub/") {
		return s.admin(r)
	}
	set := s.settings.Load()
	if set.Verify > 0 {
		if why := checks.check(r); why != "" {
			return s.refuse(403, "InvalidSignatureException", why)
		}
		s.verified.Add(1)
	}
	switch {
	case r.method == "PUT" && strings.HasPrefix(r.target, putPrefix):
		return s.write(r, set, putFine)
	case r.method == "POST" && r.target == batchPath:
		return s.write(r, set, batchFine)
	case strings.HasSuffix(r.headers["x-amz-target"], ".DescribeFeatureGroup") && len(set.Group) > 4:
		s.control.Add(1)
		return answer(200, string(set.Group))
	}
	return s.refuse(404, "UnknownOperationException", "this stub does not know the operation")
}

func (s *stub) write(r *request, set *settings, fine []byte) []byte {
	now := s.inFlight.Add(1)
	defer s.inFlight.Add(-1)
	for most := s.maxInFlight.Load(); now > most; most = s.maxInFlight.Load() {
		if s.maxInFlight.CompareAndSwap(most, now) {
			break
		}
	}
	s.requests.Add(1)
	s.bytes.Add(int64(len(r.body)))
	if r.expects {
		s.expects.Add(1)
	}
	if set.Verify > 1 {
		if why := s.census.take(r, set); why != "" {
			return s.refuse(400, "ValidationException", why)
		}
	}
	s.records.Add(records(r))
	if set.LatencyUs > 0 {
		time.Sleep(time.Duration(set.LatencyUs) * time.Microsecond)
	}
	return fine
}

func (s *stub) refuse(status int, code, why string) []byte {
	s.refused.Add(1)
	s.why.Store(why)
	body, _ := json.Marshal(map[string]string{"Message": why, "__type": code})
	return answer(status, string(body), "x-amzn-ErrorType: "+code)
}

// admin: GET /stub/stats, POST /stub/settings (which also resets the figures).
func (s *stub) admin(r *request) []byte {
	if r.target == "/stub/settings" {
		made := &settings{}
		if err := json.Unmarshal(r.body, made); err != nil {
			return answer(400, err.Error())
		}
		s.settings.Store(made)
		s.reset()
		return answer(200, "{}")
	}
	distinct, features := s.census.figures()
	body, _ := json.Marshal(map[string]any{
		"requests": s.requests.Load(), "records": s.records.Load(), "bytes": s.bytes.Load(),
		"connections": s.connections.Load(), "expects": s.expects.Load(),
		"verified": s.verified.Load(), "refused": s.refused.Load(), "control": s.control.Load(),
		"distinct": distinct, "features": features, "max_in_flight": s.maxInFlight.Load(),
		"cpu_s": cpu(), "why": s.why.Load(),
	})
	return answer(200, string(body))
}

func (s *stub) reset() {
	s.census.reset()
	for _, one := range []*atomic.Int64{
		&s.requests, &s.records, &s.bytes, &s.connections, &s.expects, &s.verified, &s.refused,
		&s.control, &s.maxInFlight,
	} {
		one.Store(0)
	}
	s.why.Store("")
}

func cpu() float64 {
	var used syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	return float64(used.Utime.Nano()+used.Stime.Nano()) / 1e9
}
