package org.moe4j.engine.kernel;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.stream.IntStream;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.moe4j.engine.gguf.GgmlType;

/**
 * Weights in a mapped file that becomes shorter: however the JVM cut the kernels into pieces to
 * compile, the fault is an error to catch. In a process of its own, which it would end otherwise.
 */
class LostMappingTest {
  private static final int COLUMNS = 256;
  private static final int ROWS = Matrix.PANEL;

  @TempDir private Path folder;

  @ParameterizedTest
  @ValueSource(strings = {"512", "128"})
  void kernelsCompiledOneByOneSurviveIt(String bits) throws Exception {
    Process process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "--add-modules=jdk.incubator.vector",
                "-Dmoe4j.vector.bits=" + bits,
                "-XX:CompileCommand=quiet",
                "-XX:CompileCommand=dontinline,org.moe4j.engine.kernel.*::*",
                // the marks are only of use inlined
                "-XX:CompileCommand=inline,org.moe4j.engine.kernel.Vectors::mayFault",
                "-Xbatch",
                "-XX:-TieredCompilation",
                "-XX:CompileThreshold=200",
                "-XX:ErrorFile=" + folder.resolve("crash.log"),
                "-XX:-CreateCoredumpOnCrash",
                "-cp",
                System.getProperty("java.class.path"),
                LostMappingTest.class.getName(),
                folder.resolve("weights").toString())
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    String printed =
        new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
    assertThat(printed.lines()).containsExactly(lines());
    assertThat(process.waitFor()).isZero();
  }

  private static String[] lines() {
    return Arrays.stream(GgmlType.values())
        .map(type -> type + " caught caught")
        .toArray(String[]::new);
  }

  /** Multiplies by mapped weights of every type until that is compiled, then cuts the file off. */
  public static void main(String[] args) throws IOException {
    Path file = Path.of(args[0]);
    for (GgmlType type : GgmlType.values()) {
      byte[] bytes =
          RandomBlocks.tensor(type, COLUMNS, ROWS, 1).data().toArray(ValueLayout.JAVA_BYTE);
      Files.write(file, bytes);
      try (Arena arena = Arena.ofConfined();
          FileChannel channel =
              FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
        MemorySegment mapped = channel.map(FileChannel.MapMode.READ_ONLY, 0, bytes.length, arena);
        BlockMatrix w = new BlockMatrix(type, ROWS, COLUMNS, mapped);
        for (int i = 0; i < 12; i++) {
          outcome(w, 1);
          outcome(w, 4);
        }
        channel.truncate(0);
        System.out.println(type + " " + outcome(w, 1) + " " + outcome(w, 4));
      }
    }
  }

  private static String outcome(BlockMatrix w, int count) {
    Activations x = new Activations(COLUMNS);
    x.reserve(count);
    int[] rows = IntStream.range(0, count).toArray();
    try {
      w.multiply(0, x, rows, 0, count, new float[count * Matrix.PANEL]);
      return "ran";
    } catch (InternalError e) {
      return "caught";
    }
  }
}
