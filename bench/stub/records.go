package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
)

const (
	maxEntries = 25 // botocore model, BatchWriteRecordRequest.Entries
	batchPath  = "/BatchWriteRecord"
	putPrefix  = "/FeatureGroup/"
)

var entryMark = []byte(`"FeatureGroupName"`)

type value struct {
	FeatureName   string
	ValueAsString *string
}

type record struct {
	Record       []value
	TargetStores []string
}

type entry struct {
	FeatureGroupName string
	record
}

// A census counts records once: a lost one and a doubled one do not cancel out.
type census struct {
	lock     sync.Mutex
	seen     map[string]struct{}
	features int
}

func (c *census) reset() {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.seen, c.features = map[string]struct{}{}, 0
}

func (c *census) figures() (distinct, features int) {
	c.lock.Lock()
	defer c.lock.Unlock()
	return len(c.seen), c.features
}

// take parses a body whole and counts its records, or says what is wrong with it.
func (c *census) take(r *request, set *settings) string {
	entries, why := parsed(r)
	if why != "" {
		return why
	}
	identifiers := make([]string, len(entries))
	for place, one := range entries {
		if why := checked(one, set.Features); why != "" {
			return why
		}
		if identifiers[place] = one.text(set.Identifier); identifiers[place] == "" {
			return "a record without identifier"
		}
	}
	c.lock.Lock()
	defer c.lock.Unlock()
	for place, one := range entries {
		c.seen[identifiers[place]] = struct{}{}
		c.features += len(one.Record)
	}
	return ""
}

func (e entry) text(name string) string {
	for _, one := range e.Record {
		if one.FeatureName == name {
			return *one.ValueAsString
		}
	}
	return ""
}

func parsed(r *request) ([]entry, string) {
	decoder := json.NewDecoder(bytes.NewReader(r.body))
	decoder.DisallowUnknownFields()
	if r.target == batchPath {
		var body struct{ Entries []entry }
		if err := decoder.Decode(&body); err != nil {
			return nil, err.Error()
		}
		if len(body.Entries) < 1 || len(body.Entries) > maxEntries {
			return nil, "1 to 25 entries"
		}
		return body.Entries, ""
	}
	one := entry{FeatureGroupName: strings.TrimPrefix(r.target, putPrefix)}
	if err := decoder.Decode(&one.record); err != nil {
		return nil, err.Error()
	}
	return []entry{one}, ""
}

// checked wants every feature once, each with a text.
func checked(one entry, features int) string {
	if one.FeatureGroupName == "" {
		return "an entry without a feature group"
	}
	if len(one.Record) != features {
		return "a record with another number of features"
	}
	names := make(map[string]struct{}, len(one.Record))
	for _, each := range one.Record {
		if each.FeatureName == "" || each.ValueAsString == nil {
			return "a feature without name or value"
		}
		names[each.FeatureName] = struct{}{}
	}
	if len(names) != len(one.Record) {
		return "a feature stands twice"
	}
	return ""
}

// records counts the records of a body by its bytes: cheap, and checked against take beforehand.
func records(r *request) int64 {
	if r.target == batchPath {
		return int64(bytes.Count(r.body, entryMark))
	}
	return 1
}
