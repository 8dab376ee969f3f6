package org.moe4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.moe4j.tensor.MoeException;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

class MoeTest {
  private static final List<Class<?>> COMMANDS = List.of(Echo.class, Fail.class);

  /** What the command {@code fail} throws next. */
  private static Supplier<? extends Throwable> failure = IllegalStateException::new;

  @Command(name = "echo", footer = "  moe echo hello")
  static final class Echo implements Callable<Integer> {
    @Option(names = "--times", defaultValue = "1")
    private int times;

    @Parameters private String text;
    @Spec private CommandSpec spec;

    @Override
    public Integer call() {
      for (int i = 0; i < times; i++) {
        spec.commandLine().getOut().println(text);
      }
      return 0;
    }
  }

  @Command(name = "fail", footer = "  moe fail")
  static final class Fail implements Callable<Integer> {
    @Override
    public Integer call() throws Exception {
      switch (failure.get()) {
        case Exception e -> throw e;
        case Error e -> throw e;
        case Throwable t -> throw new AssertionError(t);
      }
    }
  }

  private record Run(int status, String out, String err) {}

  private static Run moe(String... args) {
    StringWriter out = new StringWriter();
    StringWriter err = new StringWriter();
    int status = Moe.run(COMMANDS, new PrintWriter(out), new PrintWriter(err), args);
    return new Run(status, out.toString(), err.toString());
  }

  private static Run failing(Supplier<? extends Throwable> thrown, String... options) {
    failure = thrown;
    return moe(Stream.concat(Stream.of("fail"), Stream.of(options)).toArray(String[]::new));
  }

  @Test
  void aCommandThatEndsWellPrintsItsResultAlone() {
    assertThat(moe("echo", "@file", "--times", "2")).isEqualTo(new Run(0, "@file\n@file\n", ""));
  }

  @Test
  void helpAndVersionGoToStandardOutput() {
    Run help = moe("--help");
    assertThat(help.status()).isZero();
    assertThat(help.out()).contains("Usage: moe", "echo", "fail", "Examples:");
    assertThat(help.err()).isEmpty();
    assertThat(moe("echo", "--help").out()).contains("Usage: moe echo", "moe echo hello");
    assertThat(moe("--version").out())
        .contains("moe ", "libtorch 2", "Java 25")
        .doesNotContain("$");
  }

  @Test
  void withoutACommandTheHelpIsTheAnswerToWrongUsage() {
    Run run = moe();
    assertThat(run.status()).isEqualTo(2);
    assertThat(run.err()).contains("Usage: moe");
    assertThat(run.out()).isEmpty();
  }

  @Test
  void wrongUsageNamesTheNearestCommandOrOption() {
    assertThat(moe("ecko", "x"))
        .isEqualTo(
            new Run(2, "", "moe: unknown command 'ecko'; did you mean echo? (see moe --help)\n"));
    assertThat(moe("echo", "x", "--time", "3").err())
        .isEqualTo("moe: unknown option '--time'; did you mean --times? (see moe echo --help)\n");
    assertThat(moe("echo", "x", "y").err())
        .isEqualTo("moe: unknown argument 'y' (see moe echo --help)\n");
    assertThat(moe("echo", "x", "--times", "many"))
        .isEqualTo(
            new Run(
                2,
                "",
                "moe: Invalid value for option '--times': 'many' is not an int"
                    + " (see moe echo --help)\n"));
    assertThat(moe("--debug", "echo").status()).isEqualTo(2);
  }

  static Stream<List<Object>> failures() {
    RuntimeException libtorch =
        new RuntimeException("mat1 and mat2 cannot be multiplied\nException raised from meta");
    libtorch.setStackTrace(
        new StackTraceElement[] {
          new StackTraceElement("org.bytedeco.pytorch.global.torch", "mm", "torch.java", -2)
        });
    return Stream.of(
        List.of(new MoeException("a.toml: no [data]\n  section"), "a.toml: no [data] section"),
        List.of(libtorch, "libtorch: mat1 and mat2 cannot be multiplied"),
        List.of(
            new FileSystemException("runs/a/model", null, "No space left on device"),
            "no space left on the disk for runs/a/model; free some or write to another folder"),
        List.of(
            new UncheckedIOException(new IOException("No space left on device")),
            "no space left on the disk; free some or write to another folder"),
        List.of(new NoSuchFileException("a.txt"), "a.txt: no such file or folder"),
        List.of(new OutOfMemoryError("Java heap space"), "the Java heap is full (limit "),
        List.of(
            new IllegalStateException("seen"),
            "unexpected IllegalStateException: seen; this is a defect of moe, run again with"
                + " --debug for the stack trace"));
  }

  @ParameterizedTest
  @MethodSource("failures")
  void aFailureIsOneLineAndStatusOne(List<Object> expectation) {
    Run run = failing(() -> (Throwable) expectation.getFirst());
    assertThat(run.status()).isEqualTo(1);
    assertThat(run.out()).isEmpty();
    assertThat(run.err()).startsWith("moe: " + expectation.getLast()).hasLineCount(1);
  }

  @Test
  void debugAddsTheStackTraceWhereverItStands() {
    assertThat(failing(() -> new MoeException("why"), "--debug").err())
        .startsWith("moe: why\n")
        .contains("at org.moe4j.cli.MoeTest");
    failure = () -> new StackOverflowError("deep");
    assertThat(moe("--debug", "fail").err()).contains("StackOverflowError", "MoeTest");
  }

  @Test
  void aReaderThatHasSeenEnoughEndsTheCommandQuietly() {
    assertThat(writingInto("Broken pipe", "echo", "x")).isEqualTo(new Run(0, "", ""));
    assertThat(writingInto("Broken pipe", "--help")).isEqualTo(new Run(0, "", ""));
    Run full = writingInto("No space left on device", "--help");
    assertThat(full.status()).isEqualTo(1);
    assertThat(full.err()).startsWith("moe: standard output: no space left").hasLineCount(1);
  }

  private static Run writingInto(String fault, String... args) {
    OutputStream broken =
        new OutputStream() {
          @Override
          public void write(int b) throws IOException {
            throw new IOException(fault);
          }
        };
    StringWriter err = new StringWriter();
    int status = Moe.run(COMMANDS, StandardStreams.writer(broken), new PrintWriter(err), args);
    return new Run(status, "", err.toString());
  }

  @Test
  void outputIsUtf8() {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    Moe.run(
        COMMANDS, StandardStreams.writer(bytes), new PrintWriter(new StringWriter()), "echo", "é");
    assertThat(bytes.toString(StandardCharsets.UTF_8)).isEqualTo("é" + System.lineSeparator());
  }

  @Test
  void everyCommandHasADescriptionAndAnExample() {
    CommandLine moe = Moe.commandLine(Moe.COMMANDS);
    assertThat(moe.getCommandSpec().usageMessage().footer()).isNotEmpty();
    moe.getSubcommands().values().forEach(MoeTest::assertDocumented);
  }

  private static void assertDocumented(CommandLine command) {
    CommandSpec spec = command.getCommandSpec();
    assertThat(spec.usageMessage().description()).as(spec.qualifiedName()).isNotEmpty();
    // the list of commands shows the first line alone
    assertThat(spec.usageMessage().description()[0]).as(spec.qualifiedName()).endsWith(".");
    assertThat(String.join("\n", spec.usageMessage().footer()))
        .as("example of " + spec.qualifiedName())
        .contains(spec.qualifiedName());
    command.getSubcommands().values().forEach(MoeTest::assertDocumented);
  }
}
