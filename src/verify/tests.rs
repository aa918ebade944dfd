mod bound;
mod drivers;
mod groups;
mod lab;
mod rest;
mod verdicts;
mod words;
