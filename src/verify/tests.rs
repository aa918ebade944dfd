mod bound;
mod drivers;
mod lab;
mod rest;
mod verdicts;
mod words;
