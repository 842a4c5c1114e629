package main

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

const (
	unused     = 30 * 24 * time.Hour // a version that nobody started for so long goes
	unfinished = time.Hour           // what was left by a killed one, where no lock says that it was killed
	long       = time.Second         // what takes longer is told on a terminal
	between    = 50 * time.Millisecond
	syncfs     = 306
	scratching = ".new-" // in names of folders: trees that are not whole yet
	leaving    = ".old-" // and such that are being removed
)

// patience is how long a start waits for another one that unpacks the same; it may have been stopped, or hang. As a
// duration's text: tests set another one.
var patience = "30s"

var errInUse = errors.New("programs of it may still run")

type stopping = <-chan os.Signal

// provide unpacks the tree to a folder of trees where it is not there, whole and on the disk, and does `then` before
// another start may do the same.
func provide(it about, packed *payload, folder string, stop stopping, then func() error) error {
	tree := filepath.Join(folder, it.folder())
	if terminal(os.Stderr) {
		told := time.AfterFunc(long, func() { say("unpacking to %s, once", tree) })
		defer told.Stop()
	}
	lock, err := alone(folder, stop)
	if err != nil {
		return err
	}
	defer lock.Close()
	tidy(folder, lock != nil)
	if !stands(tree, it) || !complete(tree) { // or another start did it meanwhile
		if err := unpack(it, packed, tree, stop); err != nil {
			return err
		}
	}
	return then()
}

// alone waits until no other start unpacks there, so that ten at once take the room of one. It is nil where that can't
// be known, or takes too long: then both unpack, and the one that is last takes the other's.
func alone(folder string, stop stopping) (*os.File, error) {
	lock, err := os.OpenFile(filepath.Join(folder, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, nil // what is wrong is told by whatever is written next
	}
	limit, _ := time.ParseDuration(patience)
	for end := time.Now().Add(limit); ; {
		err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return lock, nil
		}
		if err != syscall.EWOULDBLOCK && err != syscall.EINTR || time.Now().After(end) {
			lock.Close()
			return nil, nil
		}
		select {
		case by := <-stop:
			lock.Close()
			return nil, interrupted{by}
		case <-time.After(between):
		}
	}
}

// unpack makes the tree, which appears whole or not at all, in the place of what may be left of one.
func unpack(it about, packed *payload, tree string, stop stopping) error {
	scratch, err := os.MkdirTemp(filepath.Dir(tree), filepath.Base(tree)+scratching)
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	held, err := os.Open(scratch)
	if err != nil {
		return err
	}
	defer held.Close()
	syscall.Flock(int(held.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) // for tidy
	if err := extract(it, packed, scratch, stop); err != nil {
		return err
	}
	if err := os.Chmod(scratch, 0o755); err != nil {
		return err
	}
	if err := toDisk(held, stop); err != nil {
		return err
	}
	if err := os.Rename(scratch, tree); err != nil {
		if stands(tree, it) && complete(tree) { // another start was faster
			return nil
		}
		if err := aside(tree); err != nil {
			return err
		}
		if err := os.Rename(scratch, tree); err != nil && !stands(tree, it) {
			return err
		}
	}
	sync(filepath.Dir(tree))
	return nil
}

// toDisk waits until all of the tree is on the disk, without which a power cut soon after leaves empty files under
// whole names. One syncfs takes 0.15 s here; an fsync for each of the 5,000 files takes 2 s, minutes on a disk that turns.
func toDisk(folder *os.File, stop stopping) error {
	done := make(chan syscall.Errno, 1)
	go func() {
		_, _, err := syscall.Syscall(syncfs, folder.Fd(), 0, 0)
		done <- err
	}()
	select {
	case by := <-stop:
		return interrupted{by}
	case err := <-done:
		if err == 0 || err == syscall.ENOSYS || err == syscall.EINVAL {
			return nil
		}
		return fmt.Errorf("it can't be written to the disk: %w", err)
	}
}

// sync puts a folder's list of names on the disk.
func sync(folder string) {
	if open, err := os.Open(folder); err == nil {
		open.Sync()
		open.Close()
	}
}

// aside removes what is in a tree's place, at once for all who look.
func aside(tree string) error {
	away := fmt.Sprintf("%s%s%d", tree, leaving, os.Getpid())
	if err := os.Rename(tree, away); err != nil && !os.IsNotExist(err) {
		return err
	}
	os.RemoveAll(away)
	return nil
}

// kindOf says which of our folders has such a name: "" is a tree, `scratching` and `leaving` are what their comments say.
// Whatever else is in a folder of trees was put there by somebody else, and stays.
func kindOf(name string) (kind string, known bool) {
	if len(name) < 16 || strings.Trim(name[:16], "0123456789abcdef") != "" {
		return "", false
	}
	for _, kind := range []string{scratching, leaving} {
		number, cut := strings.CutPrefix(name[16:], kind)
		if cut && number != "" && strings.Trim(number, "0123456789") == "" {
			return kind, true
		}
	}
	return "", len(name) == 16
}

// tidy removes what killed starts left. `alone`: no other start unpacks there, but for one that lost its patience.
func tidy(folder string, alone bool) {
	entries, _ := os.ReadDir(folder)
	for _, entry := range entries {
		path := filepath.Join(folder, entry.Name())
		info, err := entry.Info()
		if err != nil || !info.IsDir() {
			continue
		}
		age := time.Since(info.ModTime())
		switch kind, _ := kindOf(entry.Name()); kind {
		case leaving:
			os.RemoveAll(path)
		case scratching:
			lock, err := locked(path)
			if err == nil && alone || err != syscall.EWOULDBLOCK && age > unfinished {
				os.RemoveAll(path)
			}
			lock.Close()
		}
	}
}

// removeUnused lets versions go that nobody started for long and nobody runs; each start of a day touches its own.
func removeUnused(folder string) {
	entries, _ := os.ReadDir(folder)
	for _, entry := range entries {
		info, err := entry.Info()
		kind, known := kindOf(entry.Name())
		if err == nil && info.IsDir() && known && kind == "" && time.Since(info.ModTime()) > unused {
			remove(filepath.Join(folder, entry.Name()))
		}
	}
}

// remove lets a tree go, unless some program of it runs. Where the file system knows no locks, all may run.
func remove(tree string) error {
	lock, err := locked(filepath.Join(tree, "lock"))
	if err != nil && !os.IsNotExist(err) {
		return errInUse
	}
	defer lock.Close() // who starts meanwhile finds it gone, or waits for the lock; see python3.c
	return aside(tree)
}

// locked holds the lock for as long as it is open; EWOULDBLOCK if somebody else has it.
func locked(path string) (*os.File, error) {
	lock, err := os.OpenFile(path, os.O_RDWR, 0) // as NFS wants it
	if err != nil && !os.IsNotExist(err) {
		lock, err = os.Open(path)
	}
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, err
	}
	return lock, nil
}

func terminal(file *os.File) bool {
	var settings [64]byte // of struct termios, which is smaller
	_, _, err := syscall.Syscall(syscall.SYS_IOCTL, file.Fd(), syscall.TCGETS, uintptr(unsafe.Pointer(&settings)))
	return err == 0
}

// payload is what is unpacked, read up to where somebody says to stop.
type payload struct {
	*io.SectionReader
	seen hash.Hash
	stop stopping
}

func (it *payload) Read(into []byte) (int, error) {
	select {
	case by := <-it.stop:
		return 0, interrupted{by}
	default:
	}
	count, err := it.SectionReader.Read(into)
	it.seen.Write(into[:count])
	return count, err
}

func extract(it about, from *payload, folder string, stop stopping) error {
	from.seen, from.stop = sha256.New(), stop
	if _, err := from.Seek(0, io.SeekStart); err != nil { // it may have been read for a place that was too small
		return err
	}
	packed, err := gzip.NewReader(bufio.NewReaderSize(from, 1<<18))
	if err != nil {
		return unreadable(err)
	}
	files := tar.NewReader(packed)
	var list strings.Builder
	for {
		entry, err := files.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return unreadable(err)
		}
		if err := place(entry, files, folder); err != nil {
			return err
		}
		fmt.Fprintf(&list, "%d %s\n", entry.Size, entry.Name)
	}
	if _, err := io.Copy(io.Discard, packed); err != nil {
		return unreadable(err)
	}
	if hex.EncodeToString(from.seen.Sum(nil)) != it.Digest {
		return errDamaged
	}
	return os.WriteFile(filepath.Join(folder, listed), []byte(list.String()), 0o644)
}

// unreadable: the file's own fault, unless somebody stopped it or the disk can't read it.
func unreadable(err error) error {
	if errors.As(err, new(interrupted)) {
		return err
	}
	if errors.As(err, new(*os.PathError)) {
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	return errDamaged
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
	read := &faults{Reader: content}
	_, err = io.Copy(file, read)
	closed := file.Close()
	switch {
	case read.err != nil:
		return unreadable(read.err)
	case err != nil:
		return err
	}
	return closed
}

// faults remembers that what went wrong in copying was the reading.
type faults struct {
	io.Reader
	err error
}

func (it *faults) Read(into []byte) (int, error) {
	count, err := it.Reader.Read(into)
	if err != nil && err != io.EOF {
		it.err = err
	}
	return count, err
}
