package org.moe4j.cli;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class ModelTextTest {
  @Test
  void nothingSteersTheTerminal() {
    assertThat(ModelText.harmless("a\u001b[2Jb\r\u0007\u009bc\u007f"))
        .isEqualTo("a\uFFFD[2Jb\uFFFD\uFFFD\uFFFDc\uFFFD");
    assertThat(ModelText.harmless("é\n\tñ \uD83D\uDE00")).isEqualTo("é\n\tñ \uD83D\uDE00");
  }
}
