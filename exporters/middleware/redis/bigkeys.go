package redis

import (
	"context"
	"errors"
	"slices"

	"github.com/redis/go-redis/v9"

	"watchkeeper/exporters/middleware/server"
)

// scan looks for large keys in rounds: each step looks at some keys, a round
// ends when every database has been gone through. SCAN may show a key twice
// while the server reorganises its table; the count then is too high by it.
type scan struct {
	keysPerCheck int
	threshold    int64

	cursor   uint64
	database int // that the cursor belongs to

	round, last found // of this round so far, of the round before
	lookedAt    int64
	rounds      int64
}

// found is what a round found.
type found struct {
	big     int64
	biggest int64 // bytes
}

// step looks at the next keys and adds what is known.
func (s *scan) step(ctx context.Context, c *conn, databases []int, out *server.Reading) error {
	if s.keysPerCheck == 0 {
		return nil
	}
	// One call of SCAN may bring more keys than asked for, or none.
	for budget := s.keysPerCheck; budget > 0 && len(databases) > 0; {
		keys, roundEnded, err := s.next(ctx, c, databases, budget)
		if err != nil {
			return err
		}
		budget -= max(len(keys), 1)
		if roundEnded {
			break
		}
	}
	if len(databases) == 0 { // the server is empty
		s.cursor, s.database, s.round, s.last = 0, 0, found{}, found{}
	}
	// A round under way may already know of more than the whole one before.
	out.Add(metricBigKeys, float64(max(s.round.big, s.last.big)))
	out.Add(metricBiggestKeyBytes, float64(max(s.round.biggest, s.last.biggest)))
	out.Add(metricKeysLookedAt, float64(s.lookedAt))
	out.Add(metricBigKeyRoundsDone, float64(s.rounds))
	return nil
}

// next makes one call of SCAN and measures its keys.
func (s *scan) next(ctx context.Context, c *conn, databases []int, count int) (keys []string, roundEnded bool, err error) {
	if !slices.Contains(databases, s.database) { // emptied meanwhile
		s.cursor = 0
		if roundEnded = !s.nextDatabase(databases); roundEnded {
			return nil, true, nil
		}
	}
	if err := c.Select(ctx, s.database).Err(); err != nil {
		return nil, false, err
	}
	keys, cursor, err := c.Scan(ctx, s.cursor, "", int64(count)).Result()
	if err != nil {
		return nil, false, err
	}
	if err := s.measure(ctx, c, keys); err != nil {
		return nil, false, err
	}
	s.cursor = cursor
	if cursor == 0 {
		roundEnded = !s.nextDatabase(databases)
	}
	return keys, roundEnded, nil
}

// nextDatabase goes to the next one; after the last it ends the round, goes to
// the first and returns false.
func (s *scan) nextDatabase(databases []int) bool {
	slices.Sort(databases)
	for _, d := range databases {
		if d > s.database {
			s.database = d
			return true
		}
	}
	s.database = databases[0]
	s.last, s.round = s.round, found{}
	s.rounds++
	return false
}

func (s *scan) measure(ctx context.Context, c *conn, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	answers, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, k := range keys {
			p.MemoryUsage(ctx, k)
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return err
	}
	for _, a := range answers {
		bytes, err := a.(*redis.IntCmd).Result()
		if errors.Is(err, redis.Nil) {
			continue // the key is gone
		}
		if err != nil {
			return err
		}
		s.lookedAt++
		s.round.biggest = max(s.round.biggest, bytes)
		if bytes >= s.threshold {
			s.round.big++
		}
	}
	return nil
}
