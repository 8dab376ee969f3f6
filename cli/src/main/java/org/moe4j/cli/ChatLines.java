package org.moe4j.cli;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Optional;
import org.jline.reader.EndOfFileException;
import org.jline.reader.LineReader;
import org.jline.reader.LineReaderBuilder;
import org.jline.reader.UserInterruptException;
import org.jline.terminal.Terminal;
import org.jline.terminal.TerminalBuilder;

/** Where messages come from: someone at a terminal, or standard input. */
interface ChatLines extends AutoCloseable {
  /** The next message; empty at the end. */
  Optional<String> next();

  /** Whether someone types them, who can stop an answer and wants a prompt. */
  boolean interactive();

  /** Calls {@code stop} when the one at the terminal presses Ctrl-C, until it is closed. */
  Watch onInterrupt(Runnable stop);

  @Override
  void close();

  /** Something that is watched. */
  interface Watch extends AutoCloseable {
    @Override
    void close();
  }

  /** Those of this process. */
  static ChatLines open() {
    if (!org.moe4j.cli.Terminal.typed()) {
      return new Plain(
          new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8)));
    }
    try {
      return new Edited(TerminalBuilder.builder().system(true).build());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Lines of a stream; an empty one is no message. */
  record Plain(BufferedReader in) implements ChatLines {
    @Override
    public Optional<String> next() {
      try {
        String line = in.readLine();
        while (line != null && line.isBlank()) {
          line = in.readLine();
        }
        return Optional.ofNullable(line);
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }

    @Override
    public boolean interactive() {
      return false;
    }

    @Override
    public Watch onInterrupt(Runnable stop) {
      return () -> {};
    }

    @Override
    public void close() {}
  }

  /** Lines with editing and history; a paste of several lines is one message. */
  final class Edited implements ChatLines {
    private final Terminal terminal;
    private final LineReader reader;

    Edited(Terminal terminal) {
      this.terminal = terminal;
      this.reader =
          LineReaderBuilder.builder()
              .terminal(terminal)
              .appName("moe")
              .option(LineReader.Option.DISABLE_EVENT_EXPANSION, true)
              .build();
    }

    @Override
    public Optional<String> next() {
      while (true) {
        try {
          String line = reader.readLine("> ");
          if (!line.isBlank()) {
            return Optional.of(line);
          }
        } catch (UserInterruptException ignored) {
          // Ctrl-C at the prompt throws the line away.
        } catch (EndOfFileException e) {
          return Optional.empty();
        }
      }
    }

    @Override
    public boolean interactive() {
      return true;
    }

    @Override
    public Watch onInterrupt(Runnable stop) {
      Terminal.SignalHandler before = terminal.handle(Terminal.Signal.INT, signal -> stop.run());
      return () -> terminal.handle(Terminal.Signal.INT, before);
    }

    @Override
    public void close() {
      try {
        terminal.close();
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
  }
}
