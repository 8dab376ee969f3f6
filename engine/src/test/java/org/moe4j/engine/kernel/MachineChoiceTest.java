package org.moe4j.engine.kernel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.moe4j.engine.Engine;
import org.moe4j.engine.EngineException;
import org.moe4j.engine.Sampling;

/** Processes of their own with and without machine code. */
class MachineChoiceTest {
  private static final String MEMORY = "org.moe4j.engine.machine.ExecutableMemory";
  private static final String MODEL =
      Path.of("src/test/resources/models/olmoe-q4_0.gguf").toAbsolutePath().toString();

  /** Of a process: what it printed, and whether it loaded the class that maps memory. */
  private record Run(int status, String text, boolean maps) {
    /** The line that {@link #main} prints. */
    String result() {
      return text.lines().filter(line -> line.startsWith("result ")).findFirst().orElse("");
    }
  }

  private static Run run(String... options) throws IOException, InterruptedException {
    Path classes = folder.resolve("classes");
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(List.of("-cp", System.getProperty("java.class.path")));
    command.addAll(
        List.of("--add-modules=jdk.incubator.vector", "--enable-native-access=ALL-UNNAMED"));
    command.addAll(List.of(options));
    command.addAll(List.of("-Xlog:class+load:file=" + classes, MachineChoiceTest.class.getName()));
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    String text = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    int status = process.waitFor();
    return new Run(status, text, Files.readString(classes).contains(MEMORY));
  }

  @TempDir private static Path folder;
  private static Run vectors;

  @BeforeAll
  static void withVectors() throws Exception {
    vectors = run("-Dmoe4j.kernels=vector");
    assertThat(vectors.status()).isZero();
  }

  @Test
  void withVectorsNoCodeIsMapped() {
    assertThat(vectors.maps()).isFalse();
    assertThat(vectors.text()).contains("kernels vectors of ");
  }

  @Test
  void modelsSayTheSame() throws Exception {
    Run machine = run();
    assumeThat(machine.text()).contains("kernels machine code");
    assertThat(machine.maps()).isTrue();
    assertThat(machine.result()).isEqualTo(vectors.result()).isNotEmpty();
  }

  @Test
  void otherMachinesHaveVectorsAndSayWhy() throws Exception {
    Run other = run("-Dos.arch=sparc", "-Dmoe4j.kernels=machine");
    String why =
        "they are for x86-64 Linux, this is " + System.getProperty("os.name") + " on sparc";
    assertThat(other.text().lines().filter(line -> line.contains("no machine-code kernels")))
        .hasSize(1);
    assertThat(other.text())
        .containsPattern("kernels vectors of \\d+ bits, not machine code: " + why);
    assertThat(other.maps()).isFalse();
    assertThat(other.result()).isEqualTo(vectors.result());
  }

  @Test
  void otherWordsAreRefused() throws Exception {
    Run run = run("-Dmoe4j.kernels=fast");
    assertThat(run.status()).isNotZero();
    assertThat(run.text())
        .contains(
            EngineException.class.getName()
                + ": moe4j.kernels is fast, expected auto, machine or vector");
  }

  /** Prints which kernels there are, and the tokens and logits of a model. */
  public static void main(String[] args) {
    try (Engine model = Engine.open(Path.of(MODEL))) {
      System.out.println("kernels " + MachineChoice.description());
      int[] prompt = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5};
      int[] tokens = model.generate(prompt, Sampling.GREEDY, token -> true);
      float[] logits = model.prompt(model.sequence(), prompt);
      System.out.println("result " + Arrays.hashCode(tokens) + " " + Arrays.hashCode(logits));
    }
  }
}
