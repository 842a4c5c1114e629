// The start of a one-file program: unpacks the tree that is appended to this file, once, and becomes the program in it.
//
// The file is this program, a gzipped tar, a JSON object about it, the object's length (8 bytes, little-endian) and a
// magic of 8 bytes. The tree goes to a folder named by its digest in the user's cache, so later starts only look whether
// that is there. Two starts at once both unpack, and the one that is last takes the other's. `--unpack-to FOLDER`, as
// the only arguments, unpacks to a folder of one's choice and starts nothing.
package main

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	magic      = "bw1file\n"
	unused     = 30 * 24 * time.Hour // a version that nobody started for so long goes when another one is unpacked
	unfinished = time.Hour           // what an unpacking that was killed left
)

type about struct {
	Name   string // of the folder in the cache
	Digest string // sha256 of the gzipped tar
	Size   int64  // of the gzipped tar
	Run    string // the program in the tree
}

func main() {
	if err := start(); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", filepath.Base(os.Args[0]), err)
		os.Exit(3)
	}
}

func start() error {
	file, err := own()
	if err != nil {
		return err
	}
	defer file.Close()
	it, payload, err := carried(file)
	if err != nil {
		return err
	}
	if len(os.Args) == 3 && os.Args[1] == "--unpack-to" {
		return unpackTo(it, payload, filepath.Clean(os.Args[2]))
	}
	tree, err := unpacked(it, payload)
	if err != nil {
		return err
	}
	file.Close()
	program := filepath.Join(tree, it.Run)
	err = syscall.Exec(program, append([]string{program}, os.Args[1:]...), os.Environ())
	if errors.Is(err, syscall.EACCES) {
		return fmt.Errorf("%s can't be started: may programs run from there? Set XDG_CACHE_HOME to a folder where they may", program)
	}
	return fmt.Errorf("%s: %w", program, err)
}

// own opens this very file.
func own() (*os.File, error) {
	file, err := os.Open("/proc/self/exe")
	if err != nil {
		path, lost := os.Executable()
		if lost != nil {
			return nil, fmt.Errorf("can't read itself: %w; is /proc mounted?", err)
		}
		return os.Open(path)
	}
	return file, nil
}

// carried reads what is said at the end of the file.
func carried(file *os.File) (about, *io.SectionReader, error) {
	var it about
	damaged := errors.New("this file is damaged: fetch it again")
	info, err := file.Stat()
	if err != nil {
		return it, nil, err
	}
	end := make([]byte, 16)
	if _, err := file.ReadAt(end, info.Size()-16); err != nil || string(end[8:]) != magic {
		return it, nil, damaged
	}
	length := binary.LittleEndian.Uint64(end)
	if length > 1<<16 {
		return it, nil, damaged
	}
	text := make([]byte, length)
	at := info.Size() - 16 - int64(length)
	if _, err := file.ReadAt(text, at); err != nil || json.Unmarshal(text, &it) != nil || it.Size > at {
		return it, nil, damaged
	}
	return it, io.NewSectionReader(file, at-it.Size, it.Size), nil
}

// unpacked is the folder of the tree, which is there afterwards.
func unpacked(it about, payload *io.SectionReader) (string, error) {
	var problem error
	for _, root := range roots() {
		folder := filepath.Join(root, it.Name)
		tree := filepath.Join(folder, it.Digest[:16])
		err := os.MkdirAll(folder, 0o700)
		if err != nil || !ours(folder) || !owned(root) || root == forAll() && !ours(root) {
			problem = first(problem, err)
			continue
		}
		if whole(tree, it) {
			now := time.Now()
			os.Chtimes(tree, now, now) // a read-only home is no reason to stop
			return tree, nil
		}
		tidy(folder)
		if terminal(os.Stderr) {
			fmt.Fprintf(os.Stderr, "%s: unpacking to %s, once\n", filepath.Base(os.Args[0]), tree)
		}
		if err := unpack(it, payload, tree, false); err != nil {
			problem = first(problem, err)
			continue
		}
		return tree, nil
	}
	return "", fmt.Errorf("can't unpack itself: %w; set XDG_CACHE_HOME to a folder with 300 MB of room", first(problem, os.ErrPermission))
}

func first(one, other error) error {
	if one != nil {
		return one
	}
	return other
}

// roots are the folders that may hold trees, the best first.
func roots() []string {
	var found []string
	if root := os.Getenv("XDG_CACHE_HOME"); filepath.IsAbs(root) {
		found = append(found, filepath.Join(root, "batchwasm"))
	} else if home := home(); filepath.IsAbs(home) {
		found = append(found, filepath.Join(home, ".cache", "batchwasm"))
	}
	return append(found, forAll())
}

// forAll is the last resort, in a folder where everybody may make one of that name.
func forAll() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("batchwasm-%d", os.Getuid()))
}

func home() string {
	if home := os.Getenv("HOME"); home != "" {
		return home
	}
	if me, err := user.Current(); err == nil {
		return me.HomeDir
	}
	return ""
}

// ours: a folder that nobody but this user, or root, can have put something into; /tmp is everybody's.
func ours(folder string) bool {
	info, err := os.Lstat(folder)
	if err != nil || !info.IsDir() || info.Mode().Perm()&0o022 != 0 {
		return false
	}
	owner := info.Sys().(*syscall.Stat_t).Uid
	return owner == 0 || int(owner) == os.Getuid()
}

// owned: nobody but this user, or root, can put another folder in its place in it, unless it lets others write.
func owned(folder string) bool {
	info, err := os.Stat(folder)
	if err != nil {
		return false
	}
	owner := info.Sys().(*syscall.Stat_t).Uid
	return owner == 0 || int(owner) == os.Getuid()
}

// whole: a tree of ours with its program in it.
func whole(tree string, it about) bool {
	info, err := os.Stat(filepath.Join(tree, it.Run))
	return err == nil && info.Size() > 0 && ours(tree)
}

// aside removes what is in a tree's place, at once for all who look: an earlier version, or what cleaners of caches left.
func aside(tree string) error {
	away := fmt.Sprintf("%s.new-old-%d", tree, os.Getpid()) // a name that tidy knows
	if err := os.Rename(tree, away); err != nil && !os.IsNotExist(err) {
		return err
	}
	os.RemoveAll(away)
	return nil
}

// tidy removes what was not used for long and is not in use, and what killed starts left.
func tidy(folder string) {
	entries, _ := os.ReadDir(folder)
	for _, entry := range entries {
		path := filepath.Join(folder, entry.Name())
		info, err := entry.Info()
		if err != nil {
			continue
		}
		age := time.Since(info.ModTime())
		if strings.Contains(entry.Name(), ".new-") {
			if age > unfinished {
				os.RemoveAll(path)
			}
		} else if age > unused && !used(path) {
			os.RemoveAll(path)
		}
	}
}

// used: some program of the tree runs. Where the file system knows no locks, all are.
func used(tree string) bool {
	lock, err := os.Open(filepath.Join(tree, "lock"))
	if err != nil {
		return false
	}
	defer lock.Close()
	return syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil
}

func terminal(file *os.File) bool {
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// unpackTo puts the tree into a folder of one's choice, where all may start it; an earlier version there is replaced.
func unpackTo(it about, payload *io.SectionReader, folder string) error {
	syscall.Umask(0o022)
	if real, err := filepath.EvalSymlinks(folder); err == nil {
		folder = real
	}
	if _, err := os.Lstat(folder); os.IsNotExist(err) {
		return unpack(it, payload, folder, false)
	}
	if !replaceable(folder, it) {
		return fmt.Errorf("%s is there, and nothing that --unpack-to made: name another folder, or remove it", folder)
	}
	return unpack(it, payload, folder, true)
}

// replaceable: an empty folder, or an earlier tree and nothing else. A ~/.local has a bin/batchwasm, too, of pip's.
func replaceable(folder string, it about) bool {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return false
	}
	if len(entries) == 0 {
		return true
	}
	for _, entry := range entries {
		switch entry.Name() { // as build.py makes them
		case "bin", "lib", "licenses", "lock":
		default:
			return false
		}
	}
	lock, err := os.Lstat(filepath.Join(folder, "lock"))
	if err != nil || !lock.Mode().IsRegular() {
		return false
	}
	_, err = os.Stat(filepath.Join(folder, it.Run))
	return err == nil
}

// unpack makes the tree, which appears whole or not at all, in the place of what may be there.
func unpack(it about, payload *io.SectionReader, tree string, replaces bool) error {
	scratch, err := os.MkdirTemp(filepath.Dir(tree), filepath.Base(tree)+".new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	if err := extract(it, payload, scratch); err != nil {
		return err
	}
	if err := os.Chmod(scratch, 0o755); err != nil {
		return err
	}
	if !replaces {
		if err := os.Rename(scratch, tree); err == nil || whole(tree, it) { // else another start was faster
			return nil
		}
	}
	if err := aside(tree); err != nil {
		return err
	}
	if err := os.Rename(scratch, tree); err != nil && !whole(tree, it) {
		return err
	}
	return nil
}

func extract(it about, payload *io.SectionReader, folder string) error {
	seen := sha256.New()
	packed, err := gzip.NewReader(bufio.NewReaderSize(io.TeeReader(payload, seen), 1<<18))
	if err != nil {
		return fmt.Errorf("this file is damaged: %w", err)
	}
	files := tar.NewReader(packed)
	for {
		entry, err := files.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("this file is damaged: %w", err)
		}
		if err := place(entry, files, folder); err != nil {
			return err
		}
	}
	io.Copy(io.Discard, packed)
	if hex.EncodeToString(seen.Sum(nil)) != it.Digest {
		return errors.New("this file is damaged: fetch it again")
	}
	return nil
}

func place(entry *tar.Header, content io.Reader, folder string) error {
	path := filepath.Join(folder, entry.Name)
	switch entry.Typeflag {
	case tar.TypeDir:
		return os.Mkdir(path, 0o755)
	case tar.TypeSymlink:
		return os.Symlink(entry.Linkname, path)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, os.FileMode(entry.Mode)&0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	return first(err, file.Close())
}
