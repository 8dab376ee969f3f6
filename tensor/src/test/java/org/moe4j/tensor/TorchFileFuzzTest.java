package org.moe4j.tensor;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Random damage ends in a MoeException or in a valid read, never in anything else. */
class TorchFileFuzzTest {
  private static final int CASES = 1000;

  @TempDir Path dir;
  private Path file = Path.of("");

  @BeforeEach
  void name() {
    file = dir.resolve("damaged.bin");
  }

  @ParameterizedTest
  @ValueSource(strings = {"state.bin", "protocol4.bin"})
  void flippedBytes(String name) throws Exception {
    byte[] whole = Files.readAllBytes(TorchFixture.file(name));
    Random random = new Random(7);
    int refused = 0;
    for (int i = 0; i < CASES; i++) {
      byte[] bytes = whole.clone();
      for (int n = 1 + random.nextInt(4); n > 0; n--) {
        bytes[random.nextInt(bytes.length)] ^= (byte) (1 + random.nextInt(255));
      }
      refused += refuses(bytes) ? 1 : 0;
    }
    assertThat(refused).isBetween(CASES / 10, CASES - 1);
  }

  /** Damage inside the pickle alone, in a zip file that is sound. */
  @Test
  void picklesOfNoise() throws Exception {
    byte[] whole = Files.readAllBytes(TorchFixture.file("state.bin"));
    byte[] pickle;
    try (MappedFile in = MappedFile.open(TorchFixture.file("state.bin"), "fixture")) {
      ZipDirectory.Entry entry = ZipDirectory.read(in).entries().get("state/data.pkl");
      pickle = in.bytes(entry.start(), (int) entry.size()).array();
      Random random = new Random(8);
      int refused = 0;
      for (int i = 0; i < CASES; i++) {
        byte[] bytes = whole.clone();
        int at = (int) entry.start() + random.nextInt(pickle.length);
        // Opcodes and operands of the pickle itself, at other places.
        int n = 1 + random.nextInt(6);
        System.arraycopy(pickle, random.nextInt(pickle.length - n), bytes, at, n);
        refused += refuses(bytes) ? 1 : 0;
      }
      assertThat(refused).isBetween(CASES / 10, CASES - 1);
    }
  }

  private boolean refuses(byte[] bytes) throws IOException {
    Files.write(file, bytes);
    try (Scope scope = Scope.open();
        TorchFile in = TorchFile.open(file)) {
      for (String name : in.names()) {
        assertThat(in.describe(name).bytes()).isLessThanOrEqualTo(bytes.length);
        assertThat(in.load(name).numel()).isEqualTo(in.describe(name).elements());
      }
      return false;
    } catch (MoeException e) {
      assertThat(e.getMessage()).contains("damaged.bin").doesNotContain("\n");
      return true;
    }
  }
}
