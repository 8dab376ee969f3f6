package org.moe4j.cli;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import org.moe4j.engine.EngineException;
import org.moe4j.tensor.MoeException;

/** Puts any failure into one line for people: what is wrong, where, what to do. */
final class Failure {
  private static final long MIB = 1L << 20;

  private Failure() {}

  /** The line for {@code failure}, without the leading {@code moe:}. */
  static String describe(Throwable failure) {
    return switch (failure) {
      case MoeException e -> oneLine(e.getMessage());
      case EngineException e -> ModelText.harmless(oneLine(e.getMessage()));
      case UncheckedIOException e -> io(e.getCause());
      case IOException e -> io(e);
      case StandardStreams.OutputLost e -> "standard output: " + describe(e.getCause());
      case CompletionException e when e.getCause() != null -> describe(e.getCause());
      case ExecutionException e when e.getCause() != null -> describe(e.getCause());
      case OutOfMemoryError e -> memory(e);
      case UnsatisfiedLinkError e ->
          "a native library does not load: " + firstLine(e) + "; run again with --debug";
      case RuntimeException e when fromLibtorch(e) -> "libtorch: " + firstLine(e);
      default ->
          "unexpected "
              + failure.getClass().getSimpleName()
              + (failure.getMessage() == null ? "" : ": " + oneLine(failure.getMessage()))
              + "; this is a defect of moe, run again with --debug for the stack trace";
    };
  }

  private static String io(IOException e) {
    String message = String.valueOf(e.getMessage());
    // The system's own text, the same in every locale the JDK runs under.
    if (message.contains("No space left on device") || message.contains("Disk quota exceeded")) {
      String where = e instanceof FileSystemException f ? " for " + f.getFile() : "";
      return "no space left on the disk" + where + "; free some or write to another folder";
    }
    return switch (e) {
      case NoSuchFileException f -> f.getFile() + ": no such file or folder";
      case AccessDeniedException f -> f.getFile() + ": permission denied";
      case FileSystemException f -> oneLine(message);
      case FileNotFoundException f -> oneLine(message);
      default -> "input/output failed: " + oneLine(message);
    };
  }

  private static String memory(OutOfMemoryError e) {
    if (String.valueOf(e.getMessage()).startsWith("Java heap space")) {
      return "the Java heap is full (limit %d MiB); give it more: MOE_JAVA_OPTS=-Xmx8g"
          .formatted(Runtime.getRuntime().maxMemory() / MIB);
    }
    return "out of memory: " + firstLine(e) + "; use a smaller model or batch";
  }

  /** JavaCPP turns a C++ exception into a plain RuntimeException with several lines. */
  private static boolean fromLibtorch(RuntimeException e) {
    StackTraceElement[] stack = e.getStackTrace();
    return e.getClass() == RuntimeException.class
        && stack.length > 0
        && stack[0].getClassName().startsWith("org.bytedeco.");
  }

  private static String firstLine(Throwable e) {
    return String.valueOf(e.getMessage()).lines().findFirst().orElse("").strip();
  }

  static String oneLine(String text) {
    return String.join(" ", text.lines().map(String::strip).toList());
  }
}
