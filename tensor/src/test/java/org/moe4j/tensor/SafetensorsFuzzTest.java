package org.moe4j.tensor;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Random damage ends in a MoeException or in a valid read, never in anything else. */
class SafetensorsFuzzTest {
  private static byte[] whole = new byte[0];
  private static Path file = Path.of("");

  @BeforeAll
  static void write() throws IOException {
    file = Files.createTempFile("fuzz", ".safetensors");
    try (Scope scope = Scope.open()) {
      SafetensorsWriter.writeFile(file, SafetensorsFixture.items(), Map.of("k", "v"));
    }
    whole = Files.readAllBytes(file);
  }

  @AfterAll
  static void delete() throws IOException {
    Files.delete(file);
  }

  @Test
  void flippedBits() throws IOException {
    for (int trial = 0; trial < 2000; trial++) {
      Random random = new Random(trial);
      byte[] bytes = whole.clone();
      for (int flips = 1 + random.nextInt(4); flips > 0; flips--) {
        // Most of the damage goes where the structure is: the length and the header.
        int bit = random.nextInt(12_000) % (whole.length * 8);
        bytes[bit / 8] ^= (byte) (1 << (bit % 8));
      }
      readsOrRefuses(bytes, trial);
    }
  }

  @Test
  void overwrittenBytes() throws IOException {
    for (int trial = 0; trial < 1000; trial++) {
      Random random = new Random(trial);
      byte[] noise = new byte[random.nextInt(9)];
      random.nextBytes(noise);
      byte[] bytes = whole.clone();
      int at = random.nextInt(1_200);
      for (int i = 0; i < noise.length; i++) {
        bytes[(at + i) % bytes.length] = noise[i];
      }
      readsOrRefuses(bytes, trial);
    }
  }

  private static void readsOrRefuses(byte[] bytes, int trial) throws IOException {
    Files.write(file, bytes);
    try (Scope scope = Scope.open();
        Safetensors in = Safetensors.open(file)) {
      for (String name : in.names()) {
        assertThat(in.load(name).numel())
            .as("trial %d", trial)
            .isEqualTo(in.describe(name).elements());
      }
    } catch (MoeException e) {
      assertThat(e.getMessage())
          .as("trial %d", trial)
          .contains(file.getFileName().toString())
          .doesNotContain("\n");
    }
  }
}
