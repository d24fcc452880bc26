package server

import "errors"

// Token says where the token is that a server wants instead of a user and
// password. It is read at every check: a rotated one takes effect at once.
type Token struct {
	// TokenFile holds the token; a line break at its end is not part of it.
	TokenFile string `yaml:"token_file"`
	// TokenEnv names the environment variable that holds it instead.
	TokenEnv string `yaml:"token_env"`
}

// Validate names the first value that cannot be used.
func (t Token) Validate() error {
	if t.TokenFile != "" && t.TokenEnv != "" {
		return errors.New("token_env: is set beside token_file; give one of them")
	}
	return nil
}

// ResolvePaths makes the file's path relative to a folder.
func (t *Token) ResolvePaths(resolve func(string) string) { t.TokenFile = resolve(t.TokenFile) }

// Secret returns what hands out the token.
func (t Token) Secret() Secret {
	return Credentials{PasswordFile: t.TokenFile, PasswordEnv: t.TokenEnv}.Secret()
}
