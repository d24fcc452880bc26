package aliyun

// Everything generated comes from these hashes, never from a generator with state:
// any value can then be computed on its own, in any order.

// mix is splitmix64's finalizer over both words.
func mix(a, b uint64) uint64 {
	x := a ^ (b+0x9e3779b97f4a7c15)*0xbf58476d1ce4e5b9
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// mixText is FNV-1a, then mixed.
func mixText(a uint64, text string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * 1099511628211
	}
	return mix(a, h)
}

// unit maps a hash to [0, 1).
func unit(h uint64) float64 { return float64(h>>11) / (1 << 53) }

// pick maps a hash to an element.
func pick[T any](h uint64, from ...T) T { return from[h%uint64(len(from))] }

const idAlphabet = "0123456789abcdefghijklmnopqrstuvwxyz"

// idText is a hash as n characters of a resource id.
func idText(h uint64, n int) string {
	out := make([]byte, n)
	for i := range out {
		out[i] = idAlphabet[h%36]
		if h /= 36; h == 0 {
			h = mix(uint64(i), uint64(n))
		}
	}
	return string(out)
}
