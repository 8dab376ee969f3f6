package org.moe4j.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.moe4j.tensor.AtomicFile;
import org.moe4j.tensor.MoeException;

class CheckpointsTest {
  @TempDir Path folder;

  private static void content(Path path) {
    AtomicFile.write(path.resolve("part/file"), new byte[] {1, 2, 3});
  }

  @Test
  void theNewestIsKeptWithOneBefore() throws IOException {
    Checkpoints checkpoints = new Checkpoints(folder, 2);
    assertThat(checkpoints.newest()).isEmpty();
    for (int step : new int[] {5, 10, 999_999, 1_000_000}) {
      checkpoints.write(step, CheckpointsTest::content);
      assertThat(checkpoints.newest()).contains(folder.resolve("step-%06d".formatted(step)));
    }
    assertThat(checkpoints.all())
        .containsExactly(folder.resolve("step-999999"), folder.resolve("step-1000000"));
    assertThat(Files.readString(folder.resolve("latest"))).isEqualTo("step-1000000\n");
    assertThat(folder.resolve("step-1000000/part/file")).hasBinaryContent(new byte[] {1, 2, 3});
    assertThat(Folders.list(folder)).hasSize(3);
  }

  @Test
  void aFailureLeavesTheOldOnes() {
    Checkpoints checkpoints = new Checkpoints(folder, 1);
    checkpoints.write(1, CheckpointsTest::content);
    Consumer<Path> full =
        path -> {
          content(path);
          throw new MoeException("no space left");
        };
    assertThatThrownBy(() -> checkpoints.write(2, full)).hasMessage("no space left");
    assertThat(checkpoints.newest()).contains(folder.resolve("step-000001"));
    assertThat(Folders.list(folder)).hasSize(2);
  }

  @Test
  void whatAKillLeftIsIgnoredAndCleaned() throws IOException {
    Checkpoints checkpoints = new Checkpoints(folder, 2);
    checkpoints.write(7, CheckpointsTest::content);
    for (String name : new String[] {".writing-step-000014", ".removing-step-000003"}) {
      Files.createDirectories(folder.resolve(name).resolve("trainer"));
      Files.writeString(folder.resolve(name).resolve("model.safetensors"), "half");
    }
    Files.writeString(folder.resolve(".latest.7f.tmp"), "st");
    Files.writeString(folder.resolve("notes.txt"), "mine");
    assertThat(checkpoints.newest()).contains(folder.resolve("step-000007"));
    checkpoints.clean();
    assertThat(Folders.list(folder))
        .extracting(path -> path.getFileName().toString())
        .containsExactly("latest", "notes.txt", "step-000007");
  }
}
