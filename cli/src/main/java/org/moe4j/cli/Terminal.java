package org.moe4j.cli;

import java.io.Console;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Where the process's messages go and come from. */
final class Terminal {
  private Terminal() {}

  /** Whether someone watches standard error. */
  static boolean watched() {
    return shows(2);
  }

  /** Whether someone reads standard output. */
  static boolean read() {
    return shows(1);
  }

  private static boolean shows(int descriptor) {
    Path link = Path.of("/proc/self/fd", String.valueOf(descriptor));
    if (Files.isSymbolicLink(link)) {
      try {
        Path target = Files.readSymbolicLink(link);
        return target.startsWith("/dev/pts") || target.toString().startsWith("/dev/tty");
      } catch (IOException e) {
        return false;
      }
    }
    return typed();
  }

  /** Whether someone types at standard input and reads standard output. */
  @SuppressWarnings("SystemConsoleNull") // It is null in JDK 25 where neither is a terminal.
  static boolean typed() {
    Console console = System.console();
    return console != null && console.isTerminal();
  }
}
