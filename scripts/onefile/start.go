// The start of a one-file program: unpacks the tree that is appended to this file, once, and becomes the program in it.
//
// The file is this program, a gzipped tar, a JSON object about it, the object's length (8 bytes, little-endian) and a
// magic of 8 bytes. The tree goes to a folder named by its digest in the user's cache, so later starts only look whether
// that is there. `--unpack-to FOLDER`, as the only arguments, unpacks to a folder of one's choice and starts nothing.
//
// Here: what the file carries, and how it ends. places.go: where a tree may be, and whether it is whole; unpack.go: how it
// gets there; choice.go: a folder of one's choice.
package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

const (
	magic    = "bw1file\n"
	misused  = 2 // the exit codes of what the caller should say otherwise, and of what is the machine's fault, as batchwasm
	theWorld = 3 // itself has them
)

type about struct {
	Name   string // of the folder in the cache
	Digest string // sha256 of the gzipped tar
	Size   int64  // of the gzipped tar
	Run    string // the program in the tree
}

func (it about) folder() string { return it.Digest[:16] }

var errDamaged = errors.New("this file is not whole (cut off or damaged in copying): copy or fetch it again")

var errMisused = errors.New("--unpack-to wants a folder, and nothing else beside it: --unpack-to /opt/batchwasm")

var errNoFolder = errors.New("--unpack-to: the folder's name is empty; write one, such as /opt/batchwasm")

// interrupted by a signal; what was unpacked by then is removed.
type interrupted struct{ by os.Signal }

func (it interrupted) Error() string { return "interrupted; nothing was started" }

func main() {
	err := start()
	if err == nil {
		return
	}
	say("%v", err)
	var by interrupted
	if errors.As(err, &by) {
		if number, known := by.by.(syscall.Signal); known {
			os.Exit(128 + int(number))
		}
	}
	if errors.Is(err, errNoFolder) || errors.Is(err, errMisused) {
		os.Exit(misused)
	}
	os.Exit(theWorld)
}

// say tells the user, on one line, under the name that the file was called by.
func say(format string, values ...any) {
	fmt.Fprintf(os.Stderr, "%s: %s\n", visible(called()), visible(fmt.Sprintf(format, values...)))
}

func called() string {
	if len(os.Args) == 0 || os.Args[0] == "" { // as some callers of execve have it
		return "batchwasm"
	}
	return filepath.Base(os.Args[0])
}

// visible: names of folders may hold what a terminal would obey.
func visible(text string) string {
	var shown strings.Builder
	for _, letter := range text {
		if strconv.IsPrint(letter) {
			shown.WriteRune(letter)
		} else {
			shown.WriteString(strings.Trim(strconv.QuoteRune(letter), "'"))
		}
	}
	return shown.String()
}

func start() error {
	file, err := own()
	if err != nil {
		return err
	}
	defer file.Close()
	it, packed, err := carried(file)
	if err != nil {
		return err
	}
	stop := signals()
	folder, chosen, err := choice(os.Args)
	if err != nil {
		return err
	}
	if chosen {
		return unpackTo(it, packed, folder, stop)
	}
	tree, err := unpacked(it, packed, stop)
	if err != nil {
		return err
	}
	file.Close()
	signal.Reset()
	select {
	case by := <-stop: // that came too late to be seen
		return interrupted{by}
	default:
	}
	program := filepath.Join(tree, it.Run)
	err = syscall.Exec(program, append([]string{program}, arguments()...), os.Environ())
	if errors.Is(err, syscall.EACCES) {
		return fmt.Errorf("%s can't be started: may programs run from there? Set XDG_CACHE_HOME to a folder where they may", program)
	}
	return fmt.Errorf("%s: %w", program, err)
}

func arguments() []string {
	if len(os.Args) == 0 {
		return nil
	}
	return os.Args[1:]
}

// choice is the folder of `--unpack-to FOLDER`, and whether that was asked for.
func choice(args []string) (string, bool, error) {
	if len(args) == 3 && args[1] == "--unpack-to" {
		return args[2], true, nil
	}
	for at, arg := range args {
		folder, given := strings.CutPrefix(arg, "--unpack-to=")
		switch {
		case at == 0:
		case given && len(args) == 2:
			return folder, true, nil
		case given || arg == "--unpack-to":
			return "", false, errMisused
		case !strings.HasPrefix(arg, "-"): // a command, whose arguments may be called as they like
			return "", false, nil
		}
	}
	return "", false, nil
}

// signals that end an unpacking, which then removes what it made. Those that are ignored, as by nohup, stay so.
func signals() stopping {
	caught := make(chan os.Signal, 1)
	for _, one := range []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM} {
		if !signal.Ignored(one) {
			signal.Notify(caught, one)
		}
	}
	return caught
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
func carried(file *os.File) (about, *payload, error) {
	var it about
	info, err := file.Stat()
	if err != nil {
		return it, nil, err
	}
	end := make([]byte, 16)
	if _, err := file.ReadAt(end, info.Size()-16); err != nil || string(end[8:]) != magic {
		return it, nil, errDamaged
	}
	length := binary.LittleEndian.Uint64(end)
	if length > 1<<16 {
		return it, nil, errDamaged
	}
	text := make([]byte, length)
	at := info.Size() - 16 - int64(length)
	if _, err := file.ReadAt(text, at); err != nil || json.Unmarshal(text, &it) != nil {
		return it, nil, errDamaged
	}
	if it.Size < 0 || it.Size > at || len(it.Digest) != 64 || it.Name == "" || it.Run == "" {
		return it, nil, errDamaged
	}
	return it, &payload{SectionReader: io.NewSectionReader(file, at-it.Size, it.Size)}, nil
}
