//! The terminal: drawn on in its alternate screen, and given back as it was found, whatever happens.

use std::{
    io::{self, Stdout, Write as _, stdout},
    time::Duration,
};

use crossterm::{
    cursor::{Hide, MoveTo, Show},
    event::{self, Event, KeyCode, KeyEventKind, KeyModifiers},
    execute, queue,
    style::{Attribute, Color, Print, ResetColor, SetAttribute, SetForegroundColor},
    terminal::{
        self, Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
        enable_raw_mode,
    },
};

use super::line::{Line, Tone};

/// How long keys are waited for before it is looked for news of the node.
const WAIT: Duration = Duration::from_millis(50);

/// The terminal while it is ours.
pub(super) struct Screen {
    out: Stdout,
    has_colour: bool,
    was_resized: bool,
}

impl Screen {
    pub(super) fn open() -> io::Result<Self> {
        enable_raw_mode()?;
        // From here on dropping it gives the terminal back.
        let mut screen = Self {
            out: stdout(),
            has_colour: std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty()),
            was_resized: false,
        };
        execute!(screen.out, EnterAlternateScreen, Hide)?;
        let earlier = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            earlier(panic);
        }));
        Ok(screen)
    }

    /// Columns and rows.
    pub(super) fn size(&self) -> (usize, usize) {
        let (columns, rows) = terminal::size().unwrap_or((80, 24));
        (usize::from(columns), usize::from(rows))
    }

    /// Whether the size changed since this was asked last.
    pub(super) fn was_resized(&mut self) -> bool {
        std::mem::take(&mut self.was_resized)
    }

    /// Waits a moment for a key. Whether it is one that quits.
    pub(super) fn wait_for_quit(&mut self) -> io::Result<bool> {
        if !event::poll(WAIT)? {
            return Ok(false);
        }
        match event::read()? {
            Event::Resize(..) => self.was_resized = true,
            Event::Key(key) if key.kind != KeyEventKind::Release => {
                let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
                return Ok(match key.code {
                    KeyCode::Char('q' | 'Q') | KeyCode::Esc => true,
                    KeyCode::Char('c') => is_control,
                    _ => false,
                });
            }
            _ => {}
        }
        Ok(false)
    }

    /// Draws `lines` from the top; what was there before is gone.
    pub(super) fn draw(&mut self, lines: &[Line]) -> io::Result<()> {
        for (row, line) in (0_u16..).zip(lines) {
            queue!(self.out, MoveTo(0, row))?;
            for (tone, text) in &line.0 {
                self.set(*tone)?;
                queue!(self.out, Print(text))?;
                if self.has_colour {
                    queue!(self.out, ResetColor, SetAttribute(Attribute::Reset))?;
                }
            }
            queue!(self.out, Clear(ClearType::UntilNewLine))?;
        }
        let below = u16::try_from(lines.len()).unwrap_or(u16::MAX);
        if usize::from(below) < self.size().1 {
            queue!(self.out, MoveTo(0, below), Clear(ClearType::FromCursorDown))?;
        }
        self.out.flush()
    }

    fn set(&mut self, tone: Tone) -> io::Result<()> {
        if !self.has_colour {
            return Ok(());
        }
        match tone {
            Tone::Plain => Ok(()),
            Tone::Title => queue!(self.out, SetAttribute(Attribute::Bold)),
            Tone::Faint => queue!(self.out, SetForegroundColor(Color::DarkGrey)),
            Tone::Good => queue!(self.out, SetForegroundColor(Color::Green)),
            Tone::Warning => queue!(self.out, SetForegroundColor(Color::Yellow)),
            Tone::Bad => queue!(self.out, SetForegroundColor(Color::Red)),
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// Gives the terminal back; there is nobody to tell when that fails.
fn give_back() {
    let _ = execute!(stdout(), LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
}
