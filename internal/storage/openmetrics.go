package storage

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	"watchkeeper/internal/sample"
)

const (
	importChunk   = 256 << 10 // bytes parsed at once
	importMaxLine = 1 << 20   // bytes
)

var eofLine = []byte("# EOF\n")

// Import reads OpenMetrics text with a timestamp on every sample and stores it
// as blocks; see Importer for what that means. Every series becomes customer's;
// an empty customer leaves it to the label, which must then be there. An
// operator may import the watchkeeper_source_* series too. Errors name the
// line. progress, unless nil, is called now and then with the number of samples
// read.
func (s *Store) Import(ctx context.Context, r io.Reader, customer string, progress func(n int)) (ImportStats, error) {
	im, err := s.NewImporter()
	if err != nil {
		return ImportStats{}, err
	}
	p := &omReader{im: im, in: bufio.NewReaderSize(r, 1<<16), ids: make(map[string]*importSeries), progress: progress}
	p.check = newLabelCheck(&s.cfg, sample.Source{Customer: customer})
	p.check.operator = true
	if err := p.read(ctx); err != nil {
		return ImportStats{}, errors.Join(fmt.Errorf("storage: import: %w", err), im.Close())
	}
	return im.Commit(ctx)
}

// omReader parses a stream in chunks of whole lines: the parser wants all of
// its input at once.
type omReader struct {
	im       *Importer
	in       *bufio.Reader
	check    *labelCheck
	ids      map[string]*importSeries // by the series as it stands in the text
	progress func(n int)

	line     int    // lines before the current chunk
	typeLine []byte // the last # TYPE line: the parser's only memory across lines
	samples  int
}

func (p *omReader) read(ctx context.Context) error {
	var chunk []byte
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		var end bool
		var err error
		chunk, end, err = p.chunk(chunk[:0])
		if err != nil {
			return err
		}
		if err := p.parse(chunk); err != nil {
			return err
		}
		if p.progress != nil {
			p.progress(p.samples)
		}
		if end {
			return nil
		}
	}
}

// chunk reads whole lines up to about importChunk bytes. end says that # EOF,
// which is left off, was reached; then nothing may follow.
func (p *omReader) chunk(dst []byte) (out []byte, end bool, err error) {
	lines := 0
	for len(dst) < importChunk {
		start := len(dst)
		for {
			part, err := p.in.ReadSlice('\n')
			dst = append(dst, part...)
			if len(dst)-start > importMaxLine {
				return nil, false, fmt.Errorf("line %d: longer than %d bytes", p.line+lines+1, importMaxLine)
			}
			if err == nil {
				break
			}
			if err == io.EOF {
				return p.last(dst, start, lines)
			}
			if err != bufio.ErrBufferFull {
				return nil, false, fmt.Errorf("line %d: %w", p.line+lines+1, err)
			}
		}
		lines++
		if bytes.Equal(dst[start:], eofLine) {
			if _, err := p.in.ReadByte(); err != io.EOF {
				return nil, false, fmt.Errorf("line %d: text after # EOF", p.line+lines+1)
			}
			return dst[:start], true, nil
		}
	}
	return dst, false, nil
}

// last decides about a final line without line feed.
func (p *omReader) last(dst []byte, start, lines int) ([]byte, bool, error) {
	if bytes.Equal(dst[start:], bytes.TrimSuffix(eofLine, []byte("\n"))) {
		return dst[:start], true, nil
	}
	return nil, false, fmt.Errorf("line %d: the text does not end with # EOF", p.line+lines+1)
}

func (p *omReader) parse(chunk []byte) error {
	text := make([]byte, 0, len(p.typeLine)+len(chunk)+len(eofLine))
	text = append(append(append(text, p.typeLine...), chunk...), eofLine...)
	line := p.line
	if len(p.typeLine) > 0 {
		line--
	}
	parser := textparse.NewOpenMetricsParser(text, labels.NewSymbolTable())
	for {
		entry, err := parser.Next()
		if err == io.EOF {
			break
		}
		line++
		if err != nil {
			return fmt.Errorf("line %d: %w", line, err)
		}
		switch entry {
		case textparse.EntryType:
			name, typ := parser.Type()
			p.typeLine = fmt.Appendf(nil, "# TYPE %s %s\n", quoteName(name), typ)
		case textparse.EntrySeries:
			if err := p.add(parser); err != nil {
				return fmt.Errorf("line %d: %w", line, err)
			}
		}
	}
	p.line += bytes.Count(chunk, []byte("\n"))
	return nil
}

func quoteName(name []byte) string {
	for i, c := range name {
		if c != '_' && c != ':' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return `"` + string(name) + `"`
		}
	}
	return string(name)
}

func (p *omReader) add(parser textparse.Parser) error {
	raw, ts, v := parser.Series()
	if ts == nil {
		return fmt.Errorf("%s: no timestamp", raw)
	}
	p.samples++
	if ser, ok := p.ids[string(raw)]; ok {
		return p.im.addTo(ser, *ts, v)
	}
	var l labels.Labels
	parser.Labels(&l)
	ser, err := p.im.add(p.check, sample.Sample{Labels: l, T: *ts, V: v})
	if err != nil {
		return err
	}
	p.ids[string(raw)] = ser
	return nil
}
